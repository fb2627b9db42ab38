"""The machine under the boot: commands, metadata, disk, power."""
