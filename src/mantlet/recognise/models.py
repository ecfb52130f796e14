"""The models of this user: bundles in a folder, each a file under its name. One is built in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mantlet import settings
from mantlet.errors import IntegrityError, UsageError
from mantlet.governance import policy
from mantlet.recognise import builtin, bundle
from mantlet.recognise.bundle import Bundle
from mantlet.store.files import write_whole

_ENDING: Final = ".model"
_DIGEST: Final = 32


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
    """As `load`, of a model that may be used here. Raises NotAllowedError, too (`bundle.refuse_untrusted`)."""
    found = load(name)
    if found.manifest.name != builtin.NAME:
        bundle.refuse_untrusted(found, policy.load(), datetime.now(UTC).date())
    return found


def keep(name: str, data: bytes, *, replace: bool) -> None:
    """Puts a bundle's file under its name. Raises UsageError where that is taken."""
    if name == builtin.NAME:
        raise UsageError(f"'{name}' is the name of the model that is built in; choose another.")
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    if path_of(name).exists() and not replace:
        raise UsageError(f"There is a model '{name}'; `mantlet model remove {name}` removes it.")
    write_whole(path_of(name), data)


def keep_taught(name: str, contents: Sequence[str]) -> None:
    """Remembers which contents a model was taught on, so that it is never measured on them. Here alone: in a bundle
    it would answer to whoever holds a file."""
    write_whole(_taught_file(name), b"".join(sorted(bytes.fromhex(each) for each in contents)))


def taught(name: str) -> frozenset[str]:
    """The contents that a model was taught on, where that was done here."""
    path = _taught_file(name)
    data = path.read_bytes() if path.is_file() else b""
    return frozenset(data[first : first + _DIGEST].hex() for first in range(0, len(data), _DIGEST))


def _taught_file(name: str) -> Path:
    return folder() / f"{name}.taught"


def remove(name: str) -> None:
    """Raises UsageError where there is no such model, or it cannot be removed."""
    if name == builtin.NAME or name not in names():
        raise UsageError(f"There is no model '{name}' that could be removed.")
    path_of(name).unlink()
    _taught_file(name).unlink(missing_ok=True)
