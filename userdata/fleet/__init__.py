"""What machines of a fleet agree on: how many are wanted, how one ends itself, and when the fleet stops itself."""
