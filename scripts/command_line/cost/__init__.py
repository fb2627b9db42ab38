"""What a run will cost on each instance type, and what past runs did cost."""
