"""The demo model's architecture, and the programs that train it."""
