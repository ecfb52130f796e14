"""PDF documents (ISO 32000-2): the pictures that its pages show, and the files attached to it.

- A picture coded by DCTDecode or JPXDecode is given as the JPEG or JPEG 2000 file that was put in, byte for byte;
  what other filters wrap around it is undone (7.4).
- A picture in any other coding is rebuilt: the samples as 8-bit grey or RGB, /Decode applied, masks and colour
  profiles not, behind a PNM header ("P5" or "P6"). No compression, so its digest depends on no library's version; it
  is that of the picture as rebuilt, and of no file anyone had.
- Grey pictures and stencils that another picture names as its /SMask or /Mask are no pictures of their own (11.6.5).

qpdf mends a broken cross-reference table; a document cut off is given another end. A document that needs no password
to be opened opens by itself.

Limits: inline images in content streams (8.9.7), JBIG2, colourants other than process colours (DeviceN, Separation)
and former revisions of an object are not given. A stream packed by LZW is limited only by the worker's memory.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pikepdf

from mantlet import settings
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Joined, Memory, Stream
from mantlet.settings import MIB
from mantlet.types import Absent, Containment, Entry, Reason, Recovery, Step, Times, escape

_BLANKS: Final = b"\0\t\n\f\r \xef\xbb\xbf"
_GREY: Final = {"1", "L", "I;16"}
_COLOUR: Final = {"P", "RGB", "CMYK"}
_END: Final = b"""
endobj
8388600 0 obj <</Type /Catalog /Pages 8388601 0 R>> endobj
8388601 0 obj <</Type /Pages /Kids [8388602 0 R] /Count 1>> endobj
8388602 0 obj <</Type /Page /Parent 8388601 0 R /MediaBox [0 0 9 9]>> endobj
trailer <</Root 8388600 0 R /Size 8388603>>
"""
"""For a document whose own end is cut off: given a catalog, qpdf finds the objects by itself."""
_OWN_FILES: Final = {"/DCTDecode", "/JPXDecode"}

logging.getLogger("pikepdf").setLevel(logging.CRITICAL)  # qpdf's warnings of hostile files are no one's to read


def fits(head: bytes) -> bool:
    """Whether a file whose first 4 KiB are `head` may be a PDF (7.5.2). Only blanks may come before the mark, though
    readers take more, so that a picture or an archive that bears it further on is still read as what it is."""
    return head[:1024].lstrip(_BLANKS).startswith(b"%PDF-")


class Pdf:
    """The tree of a PDF. A step is `object`, at the object's number plus 2**32 times its generation (mostly 0).

    Raises pikepdf.PdfError, OSError, or RefusedError for a document locked by a password.
    """

    solid: Final = False

    def __init__(self, stream: Stream) -> None:
        limits = (f"{each}_max_memory" for each in ("flate", "png", "tiff", "run_length"))
        pikepdf.settings.set_qpdf_limits(**dict.fromkeys(limits, settings.IN_MEMORY_BYTES))
        self._size = stream.size
        try:
            self._pdf = _opened(stream)
        except pikepdf.PasswordError as error:
            detail = "The document is locked by a password, which Mantlet cannot take yet."
            raise RefusedError(Reason.ENCRYPTED, detail) from error
        except pikepdf.PdfError:
            self._pdf = _opened(Joined([stream, Memory(_END)]))

    def walk(self) -> Iterator[Entry]:
        masks, files = self._marked()
        listed = 0
        for item in self._pdf.objects:
            if not isinstance(item, pikepdf.Stream):
                continue
            step = Step("object", _at(item))
            try:
                name = _kept(item, masks, files)
                if name is None:
                    continue
                step = Step("object", _at(item), name)
                if listed >= settings.MEMBERS:
                    raise RefusedError(Reason.LIMIT, "The document has too many pictures and files to list.")
                entry = Entry(step, self._measured(item), Recovery.LIVE, Containment.MEMBER)
            except Exception as error:  # noqa: BLE001 - the boundary around one member: a parser raises anything
                refused = _refusal(error)
                absent = Absent(Reason(refused.reason), str(refused))
                entry = Entry(step, 0, Recovery.LIVE, Containment.MEMBER, Times(), absent)
            yield entry
            listed += 1
            if listed > settings.MEMBERS:
                return

    def open(self, step: Step) -> Stream:
        item = self._pdf.get_object(step.at & 0xFFFFFFFF, step.at >> 32)
        if not isinstance(item, pikepdf.Stream):
            raise OSError("there is no such picture or file in the document")
        try:
            return _rebuilt(item) if _is_rebuilt(item) else Memory(self._bytes(item))
        except Exception as error:
            raise _refusal(error) from error

    def _marked(self) -> tuple[set[int], dict[int, str]]:
        """The masks of pictures, and the embedded files with their names, both by `_at`."""
        masks, files = set[int](), dict[int, str]()
        for item in self._pdf.objects:
            with suppress(Exception):  # what is broken here masks nothing and names nothing
                if isinstance(item, pikepdf.Stream):
                    found = (item.get(key) for key in ("/SMask", "/Mask"))
                    masks |= {_at(mask) for mask in found if isinstance(mask, pikepdf.Stream)}
                for specification in _specifications(item):
                    _note_files(specification, files)
        return masks, files

    def _measured(self, item: Any) -> int:
        """The size in bytes of what `open` gives."""
        if _is_rebuilt(item):
            head, size = _header(item)
            return len(head) + size
        return len(self._bytes(item))

    def _bytes(self, item: Any) -> bytes:
        """A file that lies in the document, with its filters undone."""
        if min(int(item.get("/Length", 0)), self._size) > settings.IN_MEMORY_BYTES:
            raise RefusedError(Reason.LIMIT, f"It is larger than {settings.IN_MEMORY_BYTES // MIB:,} MiB.")
        if not _has_own_file(item):
            return bytes(item.read_bytes(pikepdf.StreamDecodeLevel.generalized))
        filters = _filters(item)
        if len(filters) == 1:
            return bytes(item.read_raw_bytes())
        with pikepdf.Pdf.new() as other:  # a copy, whose last filter can be taken off
            copy: Any = other.copy_foreign(item)
            copy.Filter = pikepdf.Array([pikepdf.Name(name) for name in filters[:-1]])
            parameters = copy.get("/DecodeParms")
            if isinstance(parameters, pikepdf.Array):
                copy.DecodeParms = pikepdf.Array(list(parameters)[: len(filters) - 1])
            return bytes(copy.read_bytes(pikepdf.StreamDecodeLevel.generalized))


def _opened(stream: Stream) -> Any:
    return pikepdf.open(io.BufferedReader(stream, 64 * 1024), inherit_page_attributes=False)


def _at(item: Any) -> int:
    number, generation = item.objgen
    return int(number) + (int(generation) << 32)


def _filters(item: Any) -> list[str]:
    filters = item.get("/Filter")
    return [str(name) for name in filters] if isinstance(filters, pikepdf.Array) else [str(filters)] if filters else []


def _is_image(item: Any) -> bool:
    """Thumbnails of pages need not say that they are images (12.3.4)."""
    return item.get("/Subtype") == "/Image" or ("/Width" in item and "/Height" in item) or _has_own_file(item)


def _has_own_file(item: Any) -> bool:
    return any(name in _OWN_FILES for name in _filters(item)[-1:])


def _is_rebuilt(item: Any) -> bool:
    return _is_image(item) and not _has_own_file(item)


def _kept(item: Any, masks: set[int], files: dict[int, str]) -> str | None:
    """The name to list an object by, or None: it is neither a picture nor a file."""
    at = _at(item)
    if at in files or item.get("/Type") == "/EmbeddedFile":
        return files.get(at, "")
    if not _is_image(item):
        return None
    grey = item.get("/ImageMask") is True or item.get("/ColorSpace", "/DeviceGray") in ("/DeviceGray", "/CalGray")
    return None if at in masks and grey else ""


def _specifications(item: Any) -> Iterator[Any]:
    """File specifications (7.11.3): an object by itself, or within an annotation, an array or a name tree."""
    inside: list[Any] = [item]
    if isinstance(item, pikepdf.Dictionary):
        inside.append(item.get("/FS"))
        inside += [one for key in ("/Names", "/AF") if isinstance(many := item.get(key), pikepdf.Array) for one in many]
    elif isinstance(item, pikepdf.Array):
        inside += item
    return (
        one for one in inside if isinstance(one, pikepdf.Dictionary) and isinstance(one.get("/EF"), pikepdf.Dictionary)
    )


def _note_files(specification: Any, files: dict[int, str]) -> None:
    names = [name for key in ("/UF", "/F") if isinstance(name := specification.get(key), pikepdf.String)]
    name = escape(str(names[0]).encode("utf-8", "replace")) if names else ""
    for key in ("/UF", "/F", "/DOS", "/Mac", "/Unix"):
        if isinstance(stream := specification["/EF"].get(key), pikepdf.Stream):
            files.setdefault(_at(stream), name)


def _header(item: Any) -> tuple[bytes, int]:
    """The PNM header of a picture to be rebuilt and the bytes of samples that follow, without decoding anything."""
    image = pikepdf.PdfImage(item)
    width, height = image.width, image.height
    if width <= 0 or height <= 0:
        raise RefusedError(Reason.DAMAGED, "The picture says that it has no pixels.")
    if width * height > settings.PIXELS_OTHER:
        raise RefusedError(Reason.LIMIT, f"The picture says that it has {width:,} x {height:,} pixels.")
    if "/JBIG2Decode" in _filters(item):
        raise RefusedError(Reason.UNSUPPORTED, "The picture is coded as JBIG2, which Mantlet cannot read yet.")
    mode = "1" if image.image_mask else image.mode
    if mode not in _GREY | _COLOUR:
        raise RefusedError(Reason.UNSUPPORTED, "The picture's colour space is one that Mantlet cannot read yet.")
    size = width * height * (1 if mode in _GREY else 3)
    if size > settings.IN_MEMORY_BYTES:
        raise RefusedError(Reason.LIMIT, f"Its pixels take more than {settings.IN_MEMORY_BYTES // MIB:,} MiB.")
    return b"%s\n%d %d\n255\n" % (b"P5" if mode in _GREY else b"P6", width, height), size


def _rebuilt(item: Any) -> Stream:
    head, size = _header(item)
    with warnings.catch_warnings():  # that 16 bits become 8 is said above
        warnings.simplefilter("ignore")
        image: Any = pikepdf.PdfImage(item).as_pil_image(apply_mask=False)
    mode = "RGB" if head.startswith(b"P6") else "L"
    if image.mode.startswith("I;16"):
        samples = image.tobytes()[0 if image.mode == "I;16B" else 1 :: 2]
    else:
        samples = (image if image.mode == mode else image.convert(mode)).tobytes()
    if len(samples) != size:
        raise RefusedError(Reason.DAMAGED, "The picture's data do not have the size that it says.")
    return Joined([Memory(head), Memory(samples)])


def _refusal(error: Exception) -> RefusedError:
    """What to say of a member that cannot be read. qpdf's words begin with where in memory the stream is: left out."""
    text = " ".join(str(error).rpartition("): ")[2].split())[:200]
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, MemoryError):
        return RefusedError(Reason.LIMIT, "It takes more memory than a worker may have.")
    if "memory limit exceeded" in text:
        return RefusedError(Reason.LIMIT, f"It grows to more than {settings.IN_MEMORY_BYTES // MIB:,} MiB.")
    if isinstance(error, NotImplementedError | pikepdf.UnsupportedImageTypeError):
        return RefusedError(Reason.UNSUPPORTED, "The picture is coded in a way that Mantlet cannot read yet.")
    return RefusedError(Reason.UNREADABLE, f"It cannot be read: {text or type(error).__name__}.")
