"""What a force allows, as it has written it down: `policy.json` in the user's own folder.

Every yes and no has a reason that can be shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from mantlet import settings
from mantlet.errors import UsageError

_LEAST_OFFICERS = 2
_LONGEST = 64 * 1024
_PublicKey = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`trusted_grades`: how many officers must have graded a picture alike, each for themselves, before the grade is
    trusted in another case. At least 2: one officer's alone never is. 3 is what CAID asks for. `exporters`: the public
    keys (hex, as `mantlet key show` says) of those whose exports of grades count; nobody's do until they are named.
    `model_authorities`: the keys of those who may release models, likewise. `allowed_models`: names of models that are
    used although they are not released, or no longer: for trials. `trusted_sets`: names of sets whose grades are taken
    over unseen, as those that enough officers gave are. `second_opinions`: the share of the targets graded by a look
    that another officer grades too, from 0 to 1.

    `exposure_seconds_a_day` and `exposure_looks_a_day`: how much one officer is to see clear on one day of
    `exposure_zone` (IANA, such as "Europe/London"). `exposure_minutes_without_rest`: after how long a rest is due, of
    `exposure_rest_minutes`. None: there is no such rule."""

    trusted_grades: int = 3
    exporters: tuple[_PublicKey, ...] = ()
    model_authorities: tuple[_PublicKey, ...] = ()
    allowed_models: tuple[str, ...] = ()
    trusted_sets: tuple[str, ...] = ()
    second_opinions: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    exposure_seconds_a_day: _AtLeastOne | None = None
    exposure_looks_a_day: _AtLeastOne | None = None
    exposure_minutes_without_rest: _AtLeastOne | None = None
    exposure_rest_minutes: _AtLeastOne | None = None
    exposure_zone: str = "UTC"

    def trusts(self, officers: int) -> bool:
        return officers >= self.trusted_grades


def load() -> Policy:
    """The policy in force, or the default. Raises UsageError where the file cannot be one."""
    path = settings.home() / "policy.json"
    try:
        with path.open("rb") as file:
            policy = msgspec.json.decode(file.read(_LONGEST), type=Policy)
    except FileNotFoundError:
        return Policy()
    except (OSError, ValueError) as error:
        raise UsageError(
            f'{path} cannot be used: {error}; it looks like {{"trusted_grades": 3, "allowed_models": ["a-name"]}}.'
        ) from error
    if policy.trusted_grades < _LEAST_OFFICERS:
        raise UsageError(
            f"{path}: trusted_grades must be {_LEAST_OFFICERS} or more: one officer's grade is not enough."
        )
    _check_exposure(policy, path)
    return policy


def _check_exposure(policy: Policy, path: Path) -> None:
    if (policy.exposure_minutes_without_rest is None) != (policy.exposure_rest_minutes is None):
        raise UsageError(f"{path}: exposure_minutes_without_rest and exposure_rest_minutes are one rule; give both.")
    try:
        ZoneInfo(policy.exposure_zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(
            f"{path}: exposure_zone '{policy.exposure_zone}' is not known here; give a name such as Europe/London."
        ) from error
