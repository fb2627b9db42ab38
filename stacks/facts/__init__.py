"""Facts that the stack and the command line share. Nothing here imports the CDK, so that `sd` starts quickly."""
