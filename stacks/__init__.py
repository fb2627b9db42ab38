"""What is deployed: one construct per concern, and one stack that wires them and grants."""
