"""Turns one job into images in the bucket.

The modules `layout`, `run_name`, `parameter_file` and `status` use nothing but the standard library, since the boot
imports them under the system's own Python (3.9 on Amazon Linux 2023) before the environment `ldm` exists.
"""
