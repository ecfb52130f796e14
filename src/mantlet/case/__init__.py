"""What a case stores and asks: every query of the product."""
