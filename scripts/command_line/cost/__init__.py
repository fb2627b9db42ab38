"""What a run will cost, and has cost."""
