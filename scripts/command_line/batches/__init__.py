"""Reads what machines tell of a batch, merged, and lets a person pause it, go on, end it, and try again."""
