"""The scenes that the demo model learns: sprites, backdrops, arrangements, and their captions."""
