"""The real CDK CLI and the commands against the local cloud."""
