"""Photo-like JPEGs by code: large soft shapes, some edges, and a grain like a sensor's; the same on every machine."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

QUALITY = 85


DRAWN = 240


def fill(folder: Path, count: int, width: int, height: int) -> Path:
    """Writes `count` JPEGs into a new folder. Of large pictures only `DRAWN` differ to the eye, as drawing them takes
    long; the others differ in a comment, which makes them other contents that cost as much to read."""
    folder.mkdir()
    grain = np.random.default_rng(1).normal(0, 7, (height + 64, width + 64, 1)).astype(np.float32)
    drawn = min(count, DRAWN) if width * height > 1_000_000 else count
    for number in range(drawn):
        left, top = number % 64, number // 64 % 64
        shapes = np.asarray(_shapes(random.Random(number), width, height), np.float32)
        pixels = (shapes + grain[top : top + height, left : left + width]).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=QUALITY)
    for number in range(drawn, count):
        comment = f"{number:08}".encode()
        data = (folder / f"{number % drawn:05}.jpg").read_bytes()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment
        (folder / f"{number:05}.jpg").write_bytes(data[:2] + segment + data[2:])
    return folder


def _shapes(random_of: random.Random, width: int, height: int) -> Image.Image:
    """A soft ground with a dozen shapes on it, drawn at an eighth of the size where that is large."""
    ground = Image.frombytes("RGB", (16, 12), random_of.randbytes(16 * 12 * 3))
    image = ground.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = random_of.randrange(width), random_of.randrange(height)
        radius = random_of.randrange(height // 40, height // 6)
        colour = tuple(random_of.randbytes(3))
        if random_of.random() < 0.5:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
        else:
            draw.rectangle((x - radius, y - radius // 2, x + radius, y + radius // 2), colour)
    return image
