"""What a run costs: the dated prices, and the receipt."""
