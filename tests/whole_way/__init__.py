"""From a prompt to images: the real CDK CLI, the real user data and the real worker in the local cloud."""
