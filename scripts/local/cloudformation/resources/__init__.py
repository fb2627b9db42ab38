"""The types of resources, each made, changed and deleted through the emulated API."""
