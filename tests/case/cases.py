"""What a scan brings, made by hand: contents, items and findings, and a case that holds them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mantlet.case.case import Case
from mantlet.case.scan import Matcher, Scan
from mantlet.fingerprint import digests
from mantlet.settings import PDQ_QUALITY
from mantlet.types import (
    Absent,
    Address,
    Containment,
    Content,
    Finding,
    Item,
    Kind,
    Place,
    Reason,
    Recovery,
    Rows,
    Step,
    Times,
)


@dataclass(frozen=True)
class Picture:
    """A still whose bytes are `text`; a clip where `frames` are given: each a hash and its quality."""

    text: str
    pdq: bytes | None = None
    frames: Sequence[tuple[bytes, int]] = ()
    found: Sequence[tuple[str, Recovery, Containment]] = field(
        default=(("/a", Recovery.LIVE, Containment.FILE),), compare=False
    )

    @property
    def sha256(self) -> str:
        return digests.of_bytes(self.text.encode()).sha256

    @property
    def content(self) -> Content:
        of = digests.of_bytes(self.text.encode())
        kind, mime = (Kind.MOVING, "video/mp4") if self.frames else (Kind.STILL, "image/jpeg")
        return Content(of.sha256, of.md5, of.sha1, of.size, kind, mime)

    @property
    def items(self) -> list[Item]:
        return [
            Item(
                Address("EX1", (Step("file", 0, f"/{self.text}{path}"),)),
                self.sha256, len(self.text), recovery, containment, Place.OTHER, Times(),
            )
            for path, recovery, containment in self.found
        ]  # fmt: skip

    @property
    def findings(self) -> list[Finding]:
        found: list[tuple[str, Any]] = [("media", {"width": 8, "height": 8})]
        if self.frames:
            found = [("media", {"width": 8, "height": 8, "duration": 2.5, "sound": True, "codec": "h264"})]
            found.append(
                ("frames", [{"seconds": 0.0, "pdq": each.hex(), "quality": quality} for each, quality in self.frames])
            )
        elif self.pdq is not None:
            found += [("pdq", self.pdq.hex()), ("pdq-quality", 100)]
        rows = [Finding(self.sha256, name, 1, "s", value) for name, value in found]
        if self.pdq is None:
            rows.append(Finding(self.sha256, "pdq", 1, "s", absent=Absent(Reason.TOO_FLAT, f"Below {PDQ_QUALITY}.")))
        return rows


def add(case: Case, pictures: Sequence[Picture], matcher: Matcher | None = None) -> int:
    """Merges pictures as one batch of a scan; how many the matcher knew."""
    work = Scan(case, matcher)
    work.merge(
        Rows(
            items=[item for each in pictures for item in each.items],
            contents=[each.content for each in pictures],
            findings=[finding for each in pictures for finding in each.findings],
        )
    )
    work.flush()
    return work.known


def flipped(value: bytes, bits: int, source: random.Random) -> bytes:
    """A perceptual hash at exactly that distance."""
    number = int.from_bytes(value)
    for bit in source.sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32)


def rows(case: Case, table: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in case.reader.execute(f"SELECT * FROM {table}")), key=repr)


def ledger_length(case: Case) -> int:
    (count,) = case.reader.execute("SELECT count(*) FROM ledger").fetchone()
    return int(count)
