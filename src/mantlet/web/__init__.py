"""Sessions, security headers and the page frame that both assistants share."""
