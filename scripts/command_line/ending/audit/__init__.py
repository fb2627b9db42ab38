"""Looks through an account for everything of this project that is left, and what each costs a month."""
