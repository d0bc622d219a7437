"""`python -m pipelines` is the command `conference-insights`."""

from pipelines.command_line import main

main()
