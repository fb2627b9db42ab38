"""The worker's way to the results bucket: reads, uploads, and which errors pass by themselves."""
