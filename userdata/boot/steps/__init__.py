"""The steps of the boot, one file each."""
