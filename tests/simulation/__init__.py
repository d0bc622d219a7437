"""Simulated months of runs from one seed: a changing account, a faulty API, killed processes.

Nothing here but `child` imports the program: the model answers from its own log.
"""
