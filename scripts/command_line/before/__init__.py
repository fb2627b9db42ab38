"""What is checked before a deploy."""
