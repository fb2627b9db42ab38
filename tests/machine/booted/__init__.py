"""Machines that really boot on this host: systemd-nspawn with systemd, cloud-init and the rendered user data."""
