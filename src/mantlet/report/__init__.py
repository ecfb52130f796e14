"""Reports, without any picture."""
