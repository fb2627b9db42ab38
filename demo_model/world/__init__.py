"""The scenes that the demo model learns."""
