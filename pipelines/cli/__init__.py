"""The command `conference-insights`: its options, output and exit codes."""
