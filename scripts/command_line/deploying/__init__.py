"""The deploy: uploads files, calls the CDK CLI, and looks for capacity where AWS has some."""
