"""One content in a worker: its bytes, what it is, and what one more stage states of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mantlet import settings
from mantlet.engine.visit import Visit
from mantlet.errors import RefusedError
from mantlet.evidence.stream import Stream
from mantlet.fingerprint import digests
from mantlet.media import picture, probe
from mantlet.pipeline import ON_REQUEST, STAGES, findings
from mantlet.recognise.manifest import SCORES
from mantlet.sight import Sight
from mantlet.types import Absent, Address, Content, Kind, Reason, Rows

_ROWS_AT_ONCE: Final = 16


def whole(visit: Visit, stream: Stream) -> tuple[bytes | None, digests.Digests]:
    """Its bytes, None where they are too many for memory, and their digests. Raises OSError where they break off."""
    data = stream.read_at(0, stream.size) if stream.size <= settings.IN_MEMORY_BYTES else None
    found = digests.of_bytes(data) if data is not None else digests.of_stream(stream, visit.watch.beat)
    if found.size != stream.size:
        raise OSError(f"only {found.size:,} of its {stream.size:,} bytes can be read")
    return data, found


def content_of(found: digests.Digests, form: probe.Form, data: bytes | None, blamed: Absent | None) -> Content:
    """What the bytes are. `blamed`: decoding them cost an earlier worker its life, so that is not tried."""
    kind = form.kind
    if data is not None and kind is Kind.STILL and not blamed:
        kind = picture.kind_of(data, form.mime)
    return Content(found.sha256, found.md5, found.sha1, found.size, kind, form.mime)


def state_again(visit: Visit) -> Iterator[Rows]:
    """A run of entries that were examined before: each is read again, and the node's one stage is stated. Where models
    were given that is theirs: their embedding alone, or with their scores all that they state.

    Why one cannot be stated is told as `Unread`, for whoever asked: of the evidence it says nothing.
    """
    node = visit.node
    if node.entries[0].step.kind != "whole":
        visit.reach.tree(node.address)  # which may take long, and is then to blame itself
    for number, (entry, sha256) in enumerate(zip(node.entries, node.contents, strict=True)):
        visit.watch.enter(number)
        address = node.address.child(entry.step)
        try:
            try:
                _state(visit, address, sha256)
            except MemoryError:  # what earlier entries left open may be what fills it
                visit.reach.forget()
                _state(visit, address, sha256)
        except Exception as error:  # noqa: BLE001 - the boundary around one entry
            visit.unread(address, error)
        visit.rows.examined += 1
        yield from visit.sent(_ROWS_AT_ONCE)


def _state(visit: Visit, address: Address, sha256: str) -> None:
    """Raises RefusedError where other bytes lie there than those of the content, and whatever reading them raises."""
    visit.at(address, listing=True)  # an archive may have to be inflated up to there
    blamed = visit.blamed(address)
    with visit.reach.open(address) as stream:
        data, found = whole(visit, stream)
        visit.at(address, listing=False)
        form = probe.probe(stream.read_at(0, probe.HEAD_BYTES))
        if found.sha256 != sha256 or form is None:
            raise RefusedError(Reason.UNREADABLE, "Other bytes lie there now than when it was scanned.")
        unseen = blamed or visit.unseen(address)
        sight = Sight(content_of(found, form, data, blamed), data, stream, shown=bool(visit.models) and not unseen)
        asked, every = visit.node.stage, visit.models or (*STAGES, *ON_REQUEST)
        stages = visit.models if asked == SCORES else [each for each in every if each.name == asked]
        stated = list(findings(sight, form, unseen, stages))
        if not stated:
            raise RefusedError(Reason.NOT_APPLICABLE, f"Of a {sight.content.kind} picture, it has no meaning.")
        visit.rows.findings.extend(stated)
