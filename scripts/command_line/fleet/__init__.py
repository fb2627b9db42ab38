"""Machines for a batch: which ways there are and what each costs, how they are started, and why none come."""
