"""Brings the pages of runs onto this computer, makes what is missing of them, and one page over all runs."""
