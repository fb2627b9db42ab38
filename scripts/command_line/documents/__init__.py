"""What commands print with `--json`: one schema for each document, and how a document is printed."""
