"""What is said of a picture beside its grade: by exchange formats, by those who identify, and for a report.

The fields are those of Project VIC's VICS 2.0 and INTERPOL's ICSE (victim and offender identified, self-generated,
series, tags), a neutral description for a report, and whether somebody shown is at risk now.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mantlet.errors import UsageError
from mantlet.grading.scheme import Scheme, one_line

MOST_TAGS: Final = 32
LONGEST_TAG: Final = 64
LONGEST_SERIES: Final = 200
LONGEST_TEXT: Final = 1000


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The marks of one content. None: nobody has said. `first_seen_here`: it is in no collection known to whoever says
    so. `nature`: one of the scheme's. `specimen`: what it shows, in neutral words that a report may print.
    `at_risk_now`: it shows somebody who is at risk now, so it is on the escalation list.

    Raises:
        UsageError: a text is too long or not on one line, or there are too many tags.
    """

    victim_identified: bool | None = None
    offender_identified: bool | None = None
    self_generated: bool | None = None
    first_seen_here: bool | None = None
    nature: str | None = None
    series: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    specimen: str | None = None
    at_risk_now: bool = False

    def __post_init__(self) -> None:
        for what, text, most in (
            ("series", self.series, LONGEST_SERIES),
            ("note", self.note, LONGEST_TEXT),
            ("specimen description", self.specimen, LONGEST_TEXT),
            *(("tag", tag, LONGEST_TAG) for tag in self.tags),
        ):
            if text is not None and (not text.strip() or not one_line(text, most)):
                raise UsageError(
                    f"A {what} is one line of 1 to {most:,} characters, without control or invisible ones; shorten it."
                )
        if len(self.tags) > MOST_TAGS or len(set(self.tags)) < len(self.tags):
            raise UsageError(f"A picture has at most {MOST_TAGS} tags, each once; leave some out.")

    def check(self, scheme: Scheme) -> None:
        """Raises UsageError where the nature is not one of the scheme's."""
        if self.nature is None or self.nature in scheme.natures:
            return
        there = f"it has {', '.join(scheme.natures)}" if scheme.natures else "it has none"
        raise UsageError(f"The scheme {scheme.name} has no nature '{self.nature[:LONGEST_TAG]}'; {there}.")
