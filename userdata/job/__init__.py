"""What a person asks for, checked: the job, its prompt file and its initial image."""
