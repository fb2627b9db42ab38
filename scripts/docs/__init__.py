"""Writes the generated parts of README.md and docs/: tables, the tree, help texts, captures of real runs."""
