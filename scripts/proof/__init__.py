"""The proof: walks through the product in an account, compares what is seen with the docs, and removes everything."""
