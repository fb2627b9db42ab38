"""The checks before a deploy, and `sd doctor`, which runs them all."""
