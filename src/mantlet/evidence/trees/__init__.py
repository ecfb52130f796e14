"""What can be listed: one format, one file."""
