"""What an image says of itself, and the versions of what drew it."""
