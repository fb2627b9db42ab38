"""The soak: runs and batches in the local cloud that each meet a fault, and what became of their images."""
