"""The worker's process: its settings, its environment, its imports and its memory."""
