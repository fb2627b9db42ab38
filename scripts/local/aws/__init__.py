"""What the emulated account adds to moto."""
