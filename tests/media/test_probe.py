"""What a file is, by content."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mantlet.media.probe import HEAD_BYTES, probe
from mantlet.types import Kind


@pytest.mark.parametrize(
    ("format_", "mime"),
    [
        ("JPEG", "image/jpeg"), ("PNG", "image/png"), ("GIF", "image/gif"), ("BMP", "image/bmp"),
        ("WEBP", "image/webp"), ("TIFF", "image/tiff"), ("AVIF", "image/avif"), ("HEIF", "image/heif"),
        ("JPEG2000", "image/jp2"), ("ICO", "image/vnd.microsoft.icon"), ("PPM", "image/x-portable-anymap"),
    ],
)  # fmt: skip
def test_every_format_that_is_decoded_is_recognised(format_: str, mime: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(file, format_)
    form = probe(file.getvalue()[:HEAD_BYTES])
    assert form is not None
    assert (form.kind, form.mime, form.refusal) == (Kind.STILL, mime, "")


@pytest.mark.parametrize(
    ("head", "kind", "mime"),
    [
        (b"\x00\x00\x00\x18ftypisom", Kind.MOVING, "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", Kind.MOVING, "video/quicktime"),
        (b"\x00\x00\x00\x08wide", Kind.MOVING, "video/quicktime"),
        (b"\x1a\x45\xdf\xa3", Kind.MOVING, "video/x-matroska"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", Kind.MOVING, "video/x-msvideo"),
        (b"\x00\x00\x01\xba\x44", Kind.MOVING, "video/mpeg"),
        ((b"G" + bytes(187)) * 20, Kind.MOVING, "video/mp2t"),
        ((bytes(4) + b"G" + bytes(187)) * 20, Kind.MOVING, "video/mp2t"),
    ],
)
def test_clips_are_recognised(head: bytes, kind: Kind, mime: str) -> None:
    form = probe(head)
    assert form is not None
    assert (form.kind, form.mime) == (kind, mime)


@pytest.mark.parametrize(
    "head",
    [
        b"BM, the ballad of the two seas, has forty verses and none of them is a bitmap",
        b"P5 is the fifth of the parameters",
        b"\x00\x00\x01\x00 and then some",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x20ftypM4A ",
        b"GGGGGGGG",
        b"%PDF-1.7",
        b"",
    ],
)
def test_text_sound_and_documents_are_not_taken_for_pictures(head: bytes) -> None:
    assert probe(head) is None


def test_a_recognised_format_that_cannot_be_decoded_is_named() -> None:
    form = probe(b"\x00\x00\x00\x18ftypcrx ")
    assert form is not None
    assert form.refusal == "Canon CR3"


@given(st.binary(max_size=5000))
def test_no_bytes_upset_it(head: bytes) -> None:
    probe(head)


def test_random_bytes_are_hardly_ever_a_picture() -> None:
    source = random.Random(7)
    assert sum(probe(source.randbytes(512)) is not None for _ in range(20_000)) <= 4
