"""Turns one job into images in the bucket. What boot, stack and command line share with it: `userdata.contract`."""
