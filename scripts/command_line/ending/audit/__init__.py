"""What is left in an account of everything that this project has made there, and what it costs."""
