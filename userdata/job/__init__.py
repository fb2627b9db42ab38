"""What a person asks for, checked: the job, its file of prompts, and its initial image."""
