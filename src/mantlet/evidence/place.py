"""Which kind of place on a device a path lies in: the first rule that fits, on the lower-cased path.

A hint for people ("in the recycle bin", "in a browser's cache"), decided by the path alone and so never proof of
how a file came to be there.
"""

from __future__ import annotations

import re
from typing import Final

from mantlet.types import Address, Place

RULES: Final[tuple[tuple[Place, re.Pattern[str]], ...]] = tuple(
    (place, re.compile(pattern))
    for place, pattern in (
        (Place.RECYCLE_BIN, r"/(\$recycle\.bin|recycler|recycled|\.trash(es)?(-\d+)?|trash/files)/"),
        (
            Place.BROWSER_CACHE,
            r"/(inetcache|temporary internet files|cache2|webcache|code cache|gpucache)/"
            r"|/(chrome|chromium|edge|opera|brave[^/]*|firefox|safari)[^!]*/cache",
        ),
        (
            Place.MESSENGER,
            r"/(com\.)?(whatsapp|telegram|signal|viber|kik|snapchat|wechat|skype|discord|threema)",
        ),
        (Place.CAMERA, r"/dcim/"),
        (
            Place.USER,
            r"/(users|home|documents and settings)/[^/]+/|/(pictures|photos|documents|downloads?|desktop|videos|movies"
            r"|my [a-z]+)/",
        ),
        (
            Place.SYSTEM,
            r"^/(windows|program files[^/]*|programdata|system|library|usr|etc|var|opt|boot|lib\d*)/",
        ),
    )
)


def place_of(address: Address) -> Place:
    path = "!".join("/" + step.name.lstrip("/") for step in address.steps if step.kind != "volume").lower()
    return next((place for place, rule in RULES if rule.search(path)), Place.OTHER)
