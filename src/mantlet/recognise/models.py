"""The models of this user: bundles in a folder, each a file under its name. One is built in."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from mantlet import settings
from mantlet.errors import IntegrityError, UsageError
from mantlet.governance import policy
from mantlet.recognise import builtin, bundle
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.manifest import NAME, SCORES, Manifest
from mantlet.store.files import write_whole

_ENDING: Final = ".model"
_DIGEST: Final = 32
BUILT_IN: Final = "part of Mantlet"


def folder() -> Path:
    return settings.home() / "models"


def path_of(name: str) -> Path:
    return folder() / f"{name}{_ENDING}"


def names() -> list[str]:
    """The built-in one first."""
    return [builtin.NAME, *sorted(path.name.removesuffix(_ENDING) for path in folder().glob(f"*{_ENDING}"))]


def load(name: str) -> Bundle:
    """Opens a model and checks that it is as it was made.

    Raises:
        UsageError: there is no such model.
        EvidenceError, IntegrityError: as `bundle.read_file`.
    """
    if name == builtin.NAME:
        return bundle.read(bundle.make(builtin.manifest(), builtin.network()), name)
    if name not in names():
        raise UsageError(f"There is no model '{name}' (there are: {', '.join(names())}); `mantlet model add` adds one.")
    found = bundle.read_file(path_of(name))
    if found.manifest.name != name:
        raise IntegrityError(f"{path_of(name)} holds the model '{found.manifest.name}'; add it again.")
    return found


def to_use(name: str) -> Bundle:
    """As `load`, of a model that may be used here. Raises NotAllowedError, too (`ground`)."""
    found = load(name)
    ground(found)
    return found


def ground(found: Bundle) -> str:
    """Why a model may be used here (`bundle.ground`). Raises NotAllowedError for one that may not."""
    if found.manifest.name == builtin.NAME:
        return BUILT_IN
    return bundle.ground(found, policy.load(), datetime.now(UTC).date())


def refuse_builtin(name: str) -> None:
    """Raises UsageError for the model that is built in, which nobody changes."""
    if name == builtin.NAME:
        raise UsageError(f"'{name}' is the model that is built in, a part of every Mantlet: choose another.")


def refuse_name(name: str) -> None:
    """Raises UsageError for a name that a new model cannot have."""
    refuse_builtin(name)
    if not re.fullmatch(NAME, name):
        raise UsageError(f"'{name}' cannot be a model's name: use small letters, digits and . _ - (at most 64).")
    if path_of(name).exists():
        raise UsageError(f"There is a model '{name}'; `mantlet model remove {name}` removes it.")


def keep(name: str, data: bytes, *, replace: bool) -> None:
    """Puts a bundle's file under its name. Raises UsageError where that is taken."""
    if not replace:
        refuse_name(name)
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path_of(name), data)


class Known(msgspec.Struct, frozen=True):
    """What a model was taught on: SHA-256 of the contents, and the PDQ of those that have one."""

    contents: frozenset[str]
    hashes: tuple[bytes, ...]


def keep_taught(manifest: Manifest, known: Known) -> None:
    """Remembers what a model was taught on, so that it is never measured on that, nor on its near-duplicates. Here
    alone: in a bundle it would answer to whoever holds a file. By what the model says, not by its name: it stays when
    the model is removed or signed, for when the same one comes back."""
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    parts = sorted(bytes.fromhex(each) for each in known.contents), sorted(known.hashes)
    data = len(parts[0]).to_bytes(8) + b"".join(parts[0] + parts[1])
    write_whole(_taught_file(manifest), hashlib.sha256(data).digest() + data)


def taught(manifest: Manifest) -> Known | None:
    """What a model was taught on; None where that is not known, as of one that was taught elsewhere.

    Raises:
        IntegrityError: the list of it is damaged.
    """
    path = _taught_file(manifest)
    if not path.is_file():
        return None
    digest, data = (whole := path.read_bytes())[:_DIGEST], whole[_DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        raise IntegrityError(f"{path}, which says what '{manifest.name}' was taught on, is damaged; remove it.")
    each = [data[first : first + _DIGEST] for first in range(8, len(data), _DIGEST)]
    count = int.from_bytes(data[:8])
    return Known(frozenset(digest.hex() for digest in each[:count]), tuple(each[count:]))


def _taught_file(manifest: Manifest) -> Path:
    return folder() / f"{manifest.states[SCORES]}.taught"


def remove(name: str) -> None:
    """Raises UsageError where there is no such model, or it cannot be removed."""
    if name == builtin.NAME or name not in names():
        raise UsageError(f"There is no model '{name}' that could be removed.")
    path_of(name).unlink()
