"""An ONNX network from elsewhere becomes a bundle by a recipe: what somebody writes about it, as JSON."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import msgspec

from mantlet.errors import UsageError, plain
from mantlet.governance.ledger import now
from mantlet.recognise import bundle
from mantlet.recognise.manifest import LONGEST_LABEL, Card, Frames, Kind, Label, Manifest, ModelName, Recipe

_LONGEST: Final = 16 * 1024 * 1024


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recipe file holds: the fields of `Manifest` that whoever brings a network must know. `labels` in the order
    of the network's scores, by name alone or as `manifest.Label`."""

    name: ModelName
    kind: Kind
    recipe: Recipe
    licence: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] = "1"
    labels: tuple[str | Label, ...] = ()
    scheme: str = ""
    frames: Frames = Frames()
    card: Card = Card()
    notice: Annotated[str, msgspec.Meta(max_length=1000)] = ""


def shipped() -> list[str]:
    """The recipes that come with Mantlet, for networks that many use."""
    files = (resources.files(__package__) / "recipes").iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


def recipe(given: str) -> Described:
    """The recipe in a file, or a shipped one by its name. Raises UsageError for what is none."""
    try:
        if given in shipped():
            data = (resources.files(__package__) / "recipes" / f"{given}.json").read_bytes()
        else:
            with Path(given).open("rb") as file:
                data = file.read(_LONGEST)
        return msgspec.json.decode(data, type=Described)
    except OSError:
        raise UsageError(f"There is no recipe {given}; there are {', '.join(shipped())}, or give a file.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The recipe {given} cannot be used: {plain(error)}; docs/models.md shows one.") from None


def bundled(network: Path, described: Described, name: str | None, labels: Path | None, by: str) -> bytes:
    """The file of an unsigned bundle. `labels`: a file with one on each line, instead of those of the recipe.

    Raises:
        EvidenceError: the network cannot be read.
        UsageError: the recipe lacks something, or the labels cannot be read.
    """
    data = bundle.file_of(network)
    fields = msgspec.structs.asdict(described)
    if name is not None:
        fields["name"] = name
    try:  # what came from the command line is held to the same limits as what a file says
        fields["labels"] = tuple(
            each if isinstance(each, Label) else Label(each)
            for each in (described.labels if labels is None else _lines(labels))
        )
        manifest = Manifest(**fields, network="0" * 64, made_at=now(), made_by=by)
        manifest = msgspec.convert(msgspec.to_builtins(manifest), Manifest)
    except ValueError as error:
        raise UsageError(f"This cannot be said of a model: {plain(error)}.") from None
    bundle.refuse_incomplete(manifest)
    return bundle.make(manifest, data)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise UsageError(f"{path} is no file of labels.")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The labels in {path} cannot be read: {plain(error)}.") from None
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not 0 < len(line.strip()) <= LONGEST_LABEL:
            raise UsageError(f"Line {number} of {path} must be a label, of at most {LONGEST_LABEL} characters.")
    return [line.strip() for line in lines]
