"""No two actions share a key, and none takes a key that belongs to the browser."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

import mantlet.review
from mantlet.errors import UsageError
from mantlet.grading import scheme as schemes
from mantlet.review.keymap import KEYS, RESERVED, keys_for, shown


@pytest.mark.parametrize("name", schemes.names())
def test_each_key_has_one_action_in_every_scheme(name: str) -> None:
    keys = keys_for(schemes.load(name))
    assert Counter(key for each in keys for key in each.keys).most_common(1)[0][1] == 1
    assert not RESERVED & {key for each in keys for key in each.keys}
    assert len({each.action for each in keys}) == len(keys)
    assert all(each.help for each in keys)


@pytest.mark.parametrize("key", ["u", "1", " ", "Tab", "Control+w", "Enter"])
def test_a_scheme_that_wants_a_key_with_another_use_is_refused(key: str) -> None:
    scheme = schemes.load("stand-in")
    wants = msgspec.structs.replace(scheme.grades[-1], key=key)
    with pytest.raises(UsageError, match="it has another use"):
        keys_for(msgspec.structs.replace(scheme, grades=(*scheme.grades[:-1], wants)))


def test_the_page_has_a_function_for_each_action() -> None:
    script = (Path(mantlet.review.__file__).parent / "static" / "review.js").read_text()
    for key in KEYS:
        assert f'"{key.action}":' in script or f"  {key.action}:" in script or f"  {key.action},\n" in script


def test_keys_are_shown_as_they_are_printed_on_a_keyboard() -> None:
    assert [shown(key) for key in (" ", "u", "Control+z", "ArrowLeft", "Escape")] == [
        "Space",
        "u",
        "Ctrl+Z",
        "←",
        "Esc",
    ]
