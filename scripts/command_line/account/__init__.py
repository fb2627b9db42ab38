"""What the account has, and would get."""
