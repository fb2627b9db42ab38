"""The model in the box: its training data, its training and its measurement. None of it runs on the instance."""
