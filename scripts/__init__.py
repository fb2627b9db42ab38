"""What a person runs: setup, demo, test, the command line `sd`, and the local cloud."""
