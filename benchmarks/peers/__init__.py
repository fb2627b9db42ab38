"""Every model of the catalogue with random weights of its real shape: ours beside eager and compiled diffusers."""
