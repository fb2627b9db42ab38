"""The process that turns jobs into images in the bucket. What it shares with others is in `userdata.contract`."""
