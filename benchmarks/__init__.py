"""Against peers, as ratios in one run: `make bench`."""
