"""Makes a batch of a person's file: reads and checks its rows, cuts them into units, and puts them to the machines."""
