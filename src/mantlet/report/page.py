"""HTML pages that can be disclosed, printed and kept: one file, without scripts or outside references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mantlet.errors import UsageError
from mantlet.store.files import write_whole


def refuse_name(path: Path) -> None:
    """Raises UsageError for a name that does not end in .html."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path} does not end in .html, the one form of report there is yet.")


def write(path: Path, text: str) -> None:
    """Puts a page into place, replacing what was there only when it is whole. Raises UsageError as `write_whole`."""
    write_whole(path, text.encode())


def environment() -> Any:
    """What makes pages of templates (Jinja). What they are given is escaped: names from exhibits are hostile."""
    import jinja2  # every other command does without

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("mantlet.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["count"] = lambda value: f"{value:,}"
    return made
