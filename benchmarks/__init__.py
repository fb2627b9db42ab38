"""Figures: each program prints its machine, its versions and its sizes."""
