"""The `sd` command line: what a person says to a deployment, on AWS or in the local cloud alike."""
