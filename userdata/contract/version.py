"""The version of this checkout, which the command line, the stack and each image's record carry."""

# Raised after a release; pyproject.toml reads it here, because the instance has no pyproject.toml.
VERSION = "0.2.0"
