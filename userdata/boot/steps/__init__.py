"""The steps of the boot, one file for each. A step is idempotent: it does only what is missing."""
