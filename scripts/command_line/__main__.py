"""`python -m scripts.command_line`, which `scripts/sd` runs."""

from scripts.command_line.main import main

main()
