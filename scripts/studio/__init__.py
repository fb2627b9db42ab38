"""The studio: a local page that sends jobs to the queue and shows their images as they arrive. It never deploys."""
