"""What a person types and reads: options, errors, plain text."""
