"""What comes out of runs: watched, downloaded, replayed."""
