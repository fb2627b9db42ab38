"""What a batch is made of and what is told of it: its units, its control, and what each machine has done."""
