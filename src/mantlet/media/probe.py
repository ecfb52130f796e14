"""What some bytes are, by content and never by name.

Marks are those of each format's specification; weak ones (BMP, ICO, PNM, MPEG) are confirmed by further fields,
since text and code begin with the same few bytes.
"""

from __future__ import annotations

import re
import struct
from typing import Final

import msgspec

from mantlet.types import Kind

HEAD_BYTES: Final = 4096
"""How much of a file's beginning `probe` wants."""

PICTURE_NAMES: Final = frozenset(
    "jpg jpeg jpe jfif png gif bmp dib webp tif tiff heic heif avif jp2 j2k ico psd dng cr2 cr3 nef arw orf rw2 raf "  # noqa: SIM905
    "mp4 m4v mov 3gp 3g2 avi mkv webm wmv asf flv mpg mpeg mts m2ts vob".split()
)
"""Extensions that promise a picture or a clip: a file so named whose content is neither is reported."""


class Form(msgspec.Struct, frozen=True):
    """What a file is. `refusal` names a format that is recognised and cannot be decoded yet."""

    kind: Kind
    mime: str
    refusal: str = ""


_STILLS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"8BPS\x00\x01", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
)
_MOVING: Final = (
    (b"\x1a\x45\xdf\xa3", "video/x-matroska"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b".RMF", "application/vnd.rn-realmedia"),
)
_REFUSED: Final = (
    (b"\xff\x0a", "image/jxl", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl", "JPEG XL"),
    (b"FUJIFILMCCD-RAW", "image/x-fuji-raf", "Fujifilm RAF"),
    (b"IIU\x00", "image/x-panasonic-rw2", "Panasonic RW2"),
    (b"IIRO", "image/x-olympus-orf", "Olympus ORF"),
)
_HEIF_BRANDS: Final = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis",
}  # fmt: skip
_SOUND_BRANDS: Final = {b"M4A ", b"M4B ", b"M4P "}
_QUICKTIME_ATOMS: Final = {b"moov", b"mdat", b"wide", b"pnot"}
_BMP_HEADERS: Final = {12, 40, 52, 56, 64, 108, 124}
_TS_PACKET: Final = 188


def probe(head: bytes) -> Form | None:
    """What the file that begins with `head` is, or None: not a picture, not a clip."""
    for mark, mime, name in _REFUSED:
        if head.startswith(mark):
            return Form(Kind.STILL, mime, name)
    for mark, mime in _STILLS:
        if head.startswith(mark):
            return Form(Kind.STILL, mime)
    for mark, mime in _MOVING:
        if head.startswith(mark):
            return Form(Kind.MOVING, mime)
    return _iso_media(head) or _riff(head) or _weakly_marked(head)


def _iso_media(head: bytes) -> Form | None:
    """ISO base media (ISO/IEC 14496-12) and the QuickTime files before it."""
    box, brand = head[4:8], head[8:12]
    if box in _QUICKTIME_ATOMS:
        return Form(Kind.MOVING, "video/quicktime")
    if box != b"ftyp" or brand in _SOUND_BRANDS:
        return None
    if brand == b"crx ":
        return Form(Kind.STILL, "image/x-canon-cr3", "Canon CR3")
    if brand in _HEIF_BRANDS:
        return Form(Kind.STILL, "image/avif" if brand.startswith(b"avi") else "image/heif")
    return Form(Kind.MOVING, "video/quicktime" if brand == b"qt  " else "video/mp4")


def _riff(head: bytes) -> Form | None:
    if head[:4] != b"RIFF":
        return None
    if head[8:12] == b"WEBP":
        return Form(Kind.STILL, "image/webp")
    return Form(Kind.MOVING, "video/x-msvideo") if head[8:12] == b"AVI " else None


def _weakly_marked(head: bytes) -> Form | None:
    if head[:2] == b"BM" and len(head) >= 26:
        offset, header = struct.unpack_from("<II", head, 10)
        if header in _BMP_HEADERS and 14 + header <= offset < 1 << 20:
            return Form(Kind.STILL, "image/bmp")
    if head[:4] == b"\x00\x00\x01\x00" and len(head) >= 22:
        count, planes, size, offset = struct.unpack_from("<H4xHxxII", head, 4)
        if 0 < count <= 64 and planes <= 1 and size > 0 and offset >= 6 + 16 * count:
            return Form(Kind.STILL, "image/vnd.microsoft.icon")
    if re.match(rb"P[1-6]\s(#[^\n]*\n|\s)*\d{1,6}\s+\d{1,6}\s", head):
        return Form(Kind.STILL, "image/x-portable-anymap")
    if head[:4] == b"\x00\x00\x01\xb3" and len(head) >= 8 and head[7] & 0x0F in range(1, 9):
        return Form(Kind.MOVING, "video/mpeg")
    for start in (0, 4):  # plain transport stream, and with the 4-byte time codes of AVCHD
        step = _TS_PACKET + start
        syncs = head[start::step]
        if len(syncs) >= 8 and not syncs.strip(b"G"):
            return Form(Kind.MOVING, "video/mp2t")
    return None
