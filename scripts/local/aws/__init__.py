"""The emulated account: moto's server, and what moto lacks."""
