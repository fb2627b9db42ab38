"""What each address of the studio answers: the form, runs and images, the machine, grids."""
