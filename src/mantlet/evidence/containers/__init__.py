"""What an exhibit is stored as; one format, one file."""
