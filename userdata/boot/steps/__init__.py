"""The steps of the boot, one file for each, and the `Machine` that they are given. A step does only what is missing."""
