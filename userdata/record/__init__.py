"""What an image says of itself: its record."""
