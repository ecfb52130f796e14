"""`mantlet scheme`: by which categories can be graded."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import typer

from mantlet import settings
from mantlet.cli.output import Json, print_json, results, say
from mantlet.errors import UsageError
from mantlet.grading import scheme as schemes
from mantlet.review.keymap import keys_for

_FORM: Final = schemes.Scheme(
    "NAME",
    "the day they came into force; another whenever they change",
    "what people call it",
    "who states these codes",
    (
        schemes.Grade("CODE", "1", "what it is called", "target"),
        schemes.Grade("CODE 2", "2", "what it is called", "other offence"),
        schemes.Grade("CODE 3", "3", "what it is called", "of interest"),
        schemes.Grade("CODE 4", "0", "what it is called", "nothing"),
    ),
    ("photograph",),
    ("a code by which tools write that nobody has decided",),
)


def scheme(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A category scheme; all if not said.")] = None,
    as_json: Json = False,
) -> None:
    """Lists the category schemes with their codes and keys, or shows one; of one that the force is to fill in, how.

    Example: mantlet scheme england-wales
    """
    if name in schemes.LEFT_OPEN and name not in schemes.names():
        _explain(name, as_json)
        return
    found = [_told(schemes.load(name))] if name else [_of(each) for each in schemes.names()]
    found += [] if name else [_open(each) for each in schemes.LEFT_OPEN if each not in schemes.names()]
    if as_json:
        print_json(found[0] if name else found)
        return
    for each in found:
        _print(each, whole=name is not None)


def _told(scheme: schemes.Scheme) -> dict[str, Any]:
    """A scheme that can be graded with. Raises UsageError where the page cannot have its keys."""
    keys_for(scheme)
    return {**msgspec.to_builtins(scheme), "fault": None}


def _of(name: str) -> dict[str, Any]:
    """A scheme; where its file is wrong, why, so that it does not keep the others back."""
    try:
        return _told(schemes.load(name))
    except UsageError as error:
        return {"name": name, "fault": str(error)}


def _open(name: str) -> dict[str, Any]:
    return {"name": name, "fault": f"{schemes.LEFT_OPEN[name]} `mantlet scheme {name}` says how."}


def _explain(name: str, as_json: bool) -> None:
    file = settings.home() / "schemes" / f"{name}.json"
    form = msgspec.structs.replace(_FORM, name=name)
    if as_json:
        print_json({**_open(name), "file": str(file), "form": form})
        return
    say(f"{schemes.LEFT_OPEN[name]} Write the codes to {file} in this form, and try `mantlet scheme {name}` again:")
    print_json(form)


def _print(told: dict[str, Any], whole: bool) -> None:
    if told["fault"]:
        results.print(f"{told['name']}: {told['fault']}", markup=False)
        return
    results.print(f"{told['name']}  version {told['version']}: {told['title']}", markup=False)
    if whole:
        results.print(f"    Source: {told['source']}.", markup=False)
    for grade in told["grades"]:
        line = f"    {grade['key']}  {grade['code']:14} {grade['label']}"
        results.print(f"{line} (counts as {grade['counts_as']})" if whole else line, markup=False)
    if whole and told["natures"]:
        results.print(f"    Natures: {', '.join(told['natures'])}", markup=False)
    if whole and told["ungraded"]:
        results.print(f"    Means ungraded, in files: {', '.join(told['ungraded'])}", markup=False)
