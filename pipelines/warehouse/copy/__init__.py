"""The published copy: how it is made, kept in its folder, and opened by those that read it."""
