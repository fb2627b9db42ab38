"""What runs on the instance, and only that. The bundle that an instance fetches is this folder."""
