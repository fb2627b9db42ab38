"""What a run's page is made of: a static file, and beside it the run's facts, shards of its images, and thumbnails."""
