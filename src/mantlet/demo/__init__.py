"""Benign stand-in evidence: drawn pictures, a FAT16 volume and a memory stick image that holds them."""
