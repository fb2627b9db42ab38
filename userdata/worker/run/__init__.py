"""Does one run: finds what is missing, draws, uploads, reports."""
