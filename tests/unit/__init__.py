"""Each part alone, without a network, in seconds."""
