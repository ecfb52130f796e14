"""Sets of known material: import, store, look-up."""
