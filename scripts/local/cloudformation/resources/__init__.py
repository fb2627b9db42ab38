"""The types of resources. Each one is created, updated and deleted through the emulated API."""
