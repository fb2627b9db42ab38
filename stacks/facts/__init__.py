"""What the stack and the command line both go by. No aws_cdk here: the command line starts quickly."""
