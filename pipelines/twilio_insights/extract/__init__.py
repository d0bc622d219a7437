"""From pages to the tables of a load package: windows, re-fetches, what differs."""
