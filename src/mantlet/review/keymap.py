"""The keys of the page, as data: the page binds them, its help lists them, a test forbids collisions.

A key is what `KeyboardEvent.key` says, with `Control+` or `Meta+` before it where one is held (W3C UI Events).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from mantlet.errors import UsageError
from mantlet.grading.scheme import Scheme

Context = Literal["grid", "page", "always"]
"""Where a key works: while the grid is in view, also under the list of keys, or also while the page is blanked."""


class Key(msgspec.Struct, frozen=True):
    """Any of `keys` does `action`. `held`: only for as long as it is held down; `repeats`: again and again then."""

    action: str
    keys: tuple[str, ...]
    help: str
    context: Context = "grid"
    held: bool = False
    repeats: bool = False


KEYS: Final = (
    Key("reveal", (" ",), "hold to look at the picture clearly; let go and it is hidden", held=True),
    Key("undo", ("u", "Control+z", "Meta+z"), "take back your last grade, and go there"),
    Key("next-ungraded", ("n",), "go to the next ungraded one"),
    Key("left", ("ArrowLeft",), "one back", repeats=True),
    Key("right", ("ArrowRight",), "one on", repeats=True),
    Key("up", ("ArrowUp",), "one row up", repeats=True),
    Key("down", ("ArrowDown",), "one row down", repeats=True),
    Key("page-back", ("PageUp",), "one page back", repeats=True),
    Key("page-on", ("PageDown",), "one page on", repeats=True),
    Key("first", ("Home",), "to the first"),
    Key("last", ("End",), "to the last"),
    Key("blank", ("p", "Escape"), "blank the whole page; again to go on", "always"),
    Key("help", ("?",), "show or hide this list of keys", "page"),
)

RESERVED: Final = frozenset(
    {"Tab", "Enter", "F1", "F3", "F5", "F6", "F11", "F12", "/", "'", "Backspace"}
    | {f"{held}+{key}" for held in ("Control", "Meta") for key in "tnwrqlfghjkdpsou0123456789+-"}
)
"""What browsers, or people who move by keyboard, keep for themselves."""

_SHOWN: Final = {
    " ": "Space", "ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓", "Escape": "Esc",
    "PageUp": "Page Up", "PageDown": "Page Down",
}  # fmt: skip


def keys_for(scheme: Scheme) -> tuple[Key, ...]:
    """All keys of the page: those that grade come from the scheme.

    Raises:
        UsageError: the scheme wants a key that is taken, or that a page cannot have.
    """
    keys = (*(Key(f"grade:{each.code}", (each.key,), f"{each.label}, and on") for each in scheme.grades), *KEYS)
    taken = RESERVED | set[str]()
    for each in keys:
        for key in each.keys:
            if key in taken:
                raise UsageError(f"The scheme {scheme.name} cannot have the key '{key}': it has another use.")
            taken |= {key}
    return keys


def shown(key: str) -> str:
    """A key as it is printed on a keyboard."""
    held, plus, last = key.rpartition("+")
    return f"{held.replace('Control', 'Ctrl')}{plus}{_SHOWN.get(last, last.upper() if held else last)}"
