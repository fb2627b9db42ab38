"""Stacks and buckets of earlier versions, kept as small files, and what the version at hand does with them."""
