"""The deploy itself."""
