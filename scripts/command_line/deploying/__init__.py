"""The deploy: uploads files, calls the CDK CLI, and explains a lack of capacity."""
