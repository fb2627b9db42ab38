"""Instances that really boot: systemd, cloud-init and the rendered user data in a container on this host."""
