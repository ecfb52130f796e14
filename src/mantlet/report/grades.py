"""What was graded in a case, for the force's own memory: a file that becomes a set of known material elsewhere.

JSON lines: what it is, a line for each content, and a last line with how many there are, the SHA-256 of all before it
and a signature over that. It holds digests, hashes, grades and the names of officers; no picture and no file name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mantlet import __version__
from mantlet.case import decisions
from mantlet.case.case import Case
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.governance.ledger import now


def write(case: Case, path: Path, actor: Actor, scheme: str | None = None) -> int:
    """Writes the grades that stand, and who gave them; how many contents there are.

    Raises:
        UsageError: nothing is graded, several schemes are in use and none is named, or a place that cannot be written.
    """
    there = decisions.schemes(case)
    if scheme is None and len(there) > 1:
        raise UsageError(f"This case is graded by several schemes; choose one: --scheme {' or --scheme '.join(there)}.")
    chosen = scheme or (there[0] if there else "")
    if chosen not in there:
        raise UsageError(f"Nothing in {case.folder} is graded{f' by {chosen}' if chosen else ' yet'}.")
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    digest, count = hashlib.sha256(), 0
    try:
        with scratch.open("xb") as file:
            for number, row in enumerate(_rows(case, actor, chosen)):
                count, line = number, msgspec.json.encode(row) + b"\n"
                digest.update(line)
                file.write(line)
            whole = digest.hexdigest()
            end = {"contents": count, "sha256": whole, "signature": actor.sign(_signed(whole))}
            file.write(msgspec.json.encode(end) + b"\n")
        scratch.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _signed(digest: str) -> bytes:
    return f"mantlet grades {digest}".encode()


def _rows(case: Case, actor: Actor, scheme: str) -> Iterator[dict[str, Any]]:
    yield {
        "mantlet": "grades", "version": 1, "by_mantlet": __version__, "case": case.id, "scheme": scheme,
        "exported_at": now(), "exported_by": actor.name, "public_key": actor.public_key,
    }  # fmt: skip
    yield from decisions.viewed_grades(case, scheme)
