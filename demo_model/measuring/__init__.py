"""The judge, a classifier of its own, and the figures of what the demo model draws."""
