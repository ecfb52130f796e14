"""Digests and perceptual hashes."""

from __future__ import annotations

from typing import Final

FORMS: Final = (
    "turned 90", "turned 180", "turned 270",
    "mirrored", "mirrored turned 90", "mirrored turned 180", "mirrored turned 270",
)  # fmt: skip
"""What is done to a picture to give each form but itself: mirrored left to right first, then turned clockwise by so
many degrees."""
