"""How the model in the box is made: its data, its training, its measurement. Nothing here runs on the instance."""
