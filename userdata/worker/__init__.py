"""The processes that turn jobs into images in the bucket. What they share with others is in `userdata.contract`."""
