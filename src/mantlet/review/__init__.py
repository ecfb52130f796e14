"""The officers' page."""
