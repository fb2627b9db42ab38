"""Does one run: takes stock, draws, uploads, reports."""
