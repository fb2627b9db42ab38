"""What a person runs on the machine: the original scripts' calls, and a replay."""
