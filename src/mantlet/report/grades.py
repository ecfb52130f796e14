"""What was graded in a case, for the force's own memory: a file that becomes a set of known material elsewhere.

It holds digests, hashes, grades and the names of officers; no picture and no file name. `known.formats.grades` says how
it is written, and reads it.
"""

from __future__ import annotations

import hashlib
import os
from itertools import chain
from pathlib import Path

import msgspec

from mantlet import __version__
from mantlet.case import decisions
from mantlet.case.case import Case, refuse_output
from mantlet.errors import UsageError
from mantlet.governance.keys import Actor
from mantlet.governance.ledger import now
from mantlet.known.formats import grades


def write(case: Case, path: Path, actor: Actor, scheme: str | None = None) -> int:
    """Writes what each officer who viewed a content last said of it; how many such grades there are.

    Raises:
        UsageError: nothing is graded, several schemes are in use and none is named, or a place that must not or cannot
            be written to.
    """
    there = decisions.schemes(case)
    if scheme is None and len(there) > 1:
        raise UsageError(f"This case is graded by several schemes; choose one: --scheme {' or --scheme '.join(there)}.")
    chosen = scheme or (there[0] if there else "")
    if chosen not in there:
        raise UsageError(f"Nothing in {case.folder} is graded{f' by {chosen}' if chosen else ' yet'}.")
    refuse_output(case, path)
    if path.exists() and not _is_export(path):
        raise UsageError(f"{path} exists and is no export of grades; choose another name.")
    header = {
        **grades.ABOUT, "by_mantlet": __version__, "case": case.id, "scheme": chosen, "exported_at": now(),
        "exported_by": actor.name, "public_key": actor.public_key,
    }  # fmt: skip
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    digest, count = hashlib.sha256(), 0
    try:
        with scratch.open("xb") as file:
            for number, row in enumerate(chain([header], decisions.viewed_grades(case, chosen))):
                count, line = number, msgspec.json.encode(row) + b"\n"
                digest.update(line)
                file.write(line)
            whole = digest.hexdigest()
            end = {"grades": count, "sha256": whole, "signature": actor.sign(grades.signed(whole))}
            file.write(msgspec.json.encode(end) + b"\n")
        scratch.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _is_export(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(grades.BEGINNING)) == grades.BEGINNING
