"""One run: settings, recovery of a killed one, load packages, and what follows a load."""
