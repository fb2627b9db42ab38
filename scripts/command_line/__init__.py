"""The command line `sd`. It talks to a deployment in AWS and in the local cloud alike."""
