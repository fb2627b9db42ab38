"""What the worker and its drawing process say to each other, and how. Loads no library that draws."""
