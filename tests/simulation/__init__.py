"""Simulated months of runs from one seed: a changing account, a faulty API, killed processes.

The model answers from its own log. Of the program, `child` runs the command, and `engines` and
`warehouse` read through its connections.
"""
