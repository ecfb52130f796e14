"""Digests and perceptual hashes."""
