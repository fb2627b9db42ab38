"""What is deployed: one construct for each concern, and one stack that wires the constructs and grants rights."""
