"""The whole product on one screen: how evidence becomes rows.

    exhibit -> nodes -> entries -> probe by content -> digests (bytes read once) -> decode once, small
            -> STAGES, and the models that were named, each stating a finding -> rows

`mantlet.engine.expand` does one node of that, in a boxed worker that knows neither the case nor the other nodes. To
measure something else of each content, write a stage, put it into `STAGES`, and what it may state into
`engine.messages`; into `ON_REQUEST` what not every case needs (`mantlet.engine.measure`). To read another format, see
`mantlet.evidence.tree`. Matching, stacking and grading happen later, on rows (`mantlet.case`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from mantlet import settings
from mantlet.errors import RefusedError, plain
from mantlet.media import picture, probe
from mantlet.recognise.manifest import EMBEDDING, SCORES, VERSION
from mantlet.recognise.runtime import Running
from mantlet.sight import Sight
from mantlet.types import Absent, Finding, Reason


def _media(sight: Sight) -> dict[str, Any] | Absent:
    """Size as shown, in pixels; for a clip its duration in seconds, codec, and whether there is sound."""
    if sight.still:
        return {"width": sight.picture.width, "height": sight.picture.height}
    return msgspec.to_builtins(sight.about_clip)  # type: ignore[no-any-return]


_CLIP: Final = Absent(Reason.NOT_APPLICABLE, "A clip stands as its key frames.")


def _too_flat(quality: int) -> Absent | None:
    if quality >= settings.PDQ_QUALITY:
        return None
    return Absent(Reason.TOO_FLAT, f"Quality {quality} of 100: below {settings.PDQ_QUALITY} a hash fits too much.")


def _pdq_hash(sight: Sight) -> str | Absent:
    if not sight.still:
        return _CLIP
    value, quality, _ = sight.pdq
    return _too_flat(quality) or value.hex()


def _pdq_quality(sight: Sight) -> int | Absent:
    return sight.pdq[1] if sight.still else _CLIP


def _pdq_forms(sight: Sight) -> list[str] | Absent:
    """Of the picture as it would be turned or mirrored, in the order of `pdq.FORMS`."""
    if not sight.still:
        return _CLIP
    _, quality, forms = sight.pdq
    return _too_flat(quality) or [form.hex() for form in forms]


def _pdq_stretched(sight: Sight) -> list[str] | Absent:
    """Of the picture itself, then as `_pdq_forms`."""
    if not sight.still:
        return _CLIP
    value, quality, forms = sight.stretched_pdq
    return _too_flat(quality) or [form.hex() for form in (value, *forms)]


def _key_frames(sight: Sight) -> list[dict[str, Any]] | None:
    if sight.still:
        return None
    return [{"seconds": at, "pdq": value.hex(), "quality": quality} for at, value, quality in sight.frames]


class Stage(msgspec.Struct, frozen=True):
    """States one finding of a content. `settings` names all that the value depends on besides `version`.

    `run` returns a value, an `Absent`, or None where the finding has no meaning for this kind of content.
    """

    name: str
    version: int
    settings: str
    run: Callable[[Sight], Any]


STAGES: Final = (
    Stage("media", 1, "", _media),
    Stage("pdq", 1, picture.CONVENTION, _pdq_hash),
    Stage("pdq-quality", 1, picture.CONVENTION, _pdq_quality),
    Stage("pdq-forms", 1, picture.CONVENTION, _pdq_forms),
    Stage("frames", 1, f"{picture.CONVENTION} key-frames-{settings.KEY_FRAMES}", _key_frames),
)

ON_REQUEST: Final = (Stage("pdq-512", 1, picture.STRETCHED, _pdq_stretched),)
"""What is stated of a case only where it is asked for: to compare with a list that was made otherwise."""


def of_model(running: Running) -> tuple[Stage, ...]:
    """What a model states of each content: its embedding, and what it says, as far as it has one."""

    def embedding(sight: Sight) -> dict[str, Any]:
        vectors = running.look(sight.shown).vectors
        if vectors is None:
            raise RuntimeError("a model that names an embedding gave none")
        return {"dimensions": vectors.shape[1], "numbers": vectors.astype("<f2").tobytes()}

    def scores(sight: Sight) -> dict[str, Any] | None:
        return running.look(sight.shown).said

    run = {EMBEDDING: embedding, SCORES: scores}
    return tuple(Stage(name, VERSION, set_to, run[name]) for name, set_to in running.bundle.manifest.states.items())


def findings(
    sight: Sight, form: probe.Form, blamed: Absent | None, stages: Sequence[Stage] = STAGES
) -> Iterator[Finding]:
    """What stages state of one content. `blamed`: why it may not be decoded, having cost a worker its life."""
    for stage in stages:
        value = blamed or _stated(stage, sight, form)
        if value is not None:
            absent = value if isinstance(value, Absent) else None
            value = None if absent else value
            yield Finding(sight.content.sha256, stage.name, stage.version, stage.settings, value, absent)


def _stated(stage: Stage, sight: Sight, form: probe.Form) -> Any:
    if form.refusal:
        return Absent(Reason.UNSUPPORTED, f"{form.refusal} is recognised, and cannot be decoded yet.")
    if sight.still and sight.data is None:
        most = settings.IN_MEMORY_BYTES // settings.MIB
        return Absent(Reason.LIMIT, f"The file is larger than {most} MiB.")
    try:
        return stage.run(sight)
    except Exception as error:  # noqa: BLE001 - the boundary around one stage of one content
        return absent_for(error)


def absent_for(error: Exception) -> Absent:
    """An exception as a reason and a sentence. Texts of decoders are cut and put on one line."""
    if isinstance(error, RefusedError):
        return Absent(Reason(error.reason), str(error))
    if isinstance(error, MemoryError):
        most = settings.WORKER_MEMORY // settings.MIB
        return Absent(Reason.LIMIT, f"It needs more than the {most} MiB of memory that a worker may have.")
    return Absent(Reason.UNREADABLE, f"It cannot be read: {plain(error)}.")
