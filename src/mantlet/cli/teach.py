"""`mantlet model train`, `evaluate` and `quantise`: a model from what people graded, and how good it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from mantlet.case import recognition
from mantlet.case.case import Case, open_case, refuse_output
from mantlet.cli.output import As, Json, log_to, print_json, progress_bar, say
from mantlet.engine import labelled
from mantlet.engine import recognise as engine
from mantlet.engine.labelled import NONE, Examples
from mantlet.errors import UsageError
from mantlet.governance import keys
from mantlet.recognise import models
from mantlet.recognise.bundle import Bundle

_Cases = Annotated[list[Path], typer.Argument(metavar="CASE...", help="The folders of the cases.")]
_Scheme = Annotated[
    str | None, typer.Option("--scheme", metavar="NAME", help="Of cases graded by several schemes, which.")
]
_Table = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="A CSV of sha256,label instead of the grades in the cases."),
]
_Workers = Annotated[int, typer.Option("--workers", metavar="N", min=1, max=256)]
_CORES: Final = os.cpu_count() or 1


def train(
    cases: _Cases,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the new model is called.")],
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=GRADE,...", help="A label, and the grades it means; else each grade."),
    ] = None,
    table: _Table = None,
    scheme: _Scheme = None,
    base: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Whose eyes; else those that saw most of the first.")
    ] = None,
    miss: Annotated[
        float, typer.Option("--miss", metavar="SHARE", min=0.001, max=0.5, help="Of targets, that may be missed.")
    ] = 0.05,
    workers: _Workers = _CORES,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Teaches a model from the grades that people gave in cases; what was graded otherwise is what it is not.

    It stays here, and unreleased, until its card is filled in and an authority has signed it (docs/models.md).

    Example: mantlet model train case-17 case-18 --name boats --label boat=A,B
    """
    from mantlet.engine import teach  # scipy and its like take half a second to load

    models.refuse_name(name)
    who = keys.actor(actor)
    opened = _opened(cases, who)
    chosen = engine.embedder(opened[0], base)
    said = _said(opened, table, scheme, label or [])
    with progress_bar("Looking") as (bar, task):
        made = teach.train(
            opened, said, chosen, name, miss, who.name, workers,
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    held = made.bundle.manifest
    if as_json:
        print_json({**msgspec.to_builtins(held), "digest": made.bundle.digest})
        return
    print(f"{name}: taught on {held.card.taught_on['contents']:,} pictures, by what {chosen.manifest.name} sees")  # noqa: T201
    for each in made.found.labels:
        _tell(each)
    for sentence in (*made.sentences, *([held.notice] if held.notice else [])):
        say(sentence)
    say(
        f"Measure it elsewhere (mantlet model evaluate {name} CASE), fill in its card (mantlet model card {name}), "
        f"then an authority may release it (mantlet model sign {name})."
    )


def evaluate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")],
    cases: _Cases,
    table: _Table = None,
    scheme: _Scheme = None,
    base_rate: Annotated[
        float | None,
        typer.Option("--base-rate", metavar="SHARE", min=0, max=1, help="The share of targets that you expect."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="An .html page with plots to write.")
    ] = None,
    workers: _Workers = _CORES,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Measures a model against what people graded: what it finds, what it misses, what it flags for nothing.

    Contents that it was taught on are left out. Intervals are of 95 %, by groups of near-duplicates.

    Example: mantlet model evaluate boats case-19 --base-rate 0.01 -o boats.html
    """
    from mantlet.engine import evaluate as engine_  # scipy and its like take half a second to load
    from mantlet.report import page
    from mantlet.report import recognition as pages

    if output is not None:
        page.refuse_name(output)
    model = models.load(name)
    if not model.head:
        models.ground(model)  # what it says of them is kept in the cases
    opened = _opened(cases, keys.actor(actor))
    said = _said(opened, table, scheme or model.manifest.scheme or None, [])
    with progress_bar("Looking") as (bar, task):
        measured = engine_.evaluate(
            opened, said, model, base_rate, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )
    for sentence in (*measured.warnings, *(each.sentence for each in measured.drift)):
        say(sentence)
    if output is not None:
        for case in opened:
            refuse_output(case, output)
        shown = tuple(each for each in measured.evaluation.labels if each.label != NONE)
        pages.write(msgspec.structs.replace(measured.evaluation, labels=shown), _about(model, measured), output)
    if as_json:
        print_json(_figures(name, model.digest, measured))
        return
    print(f"{name}, on {measured.contents:,} labelled contents; {_left_out(measured)}")  # noqa: T201
    for each in measured.evaluation.labels:
        _tell(each)
    if output is not None:
        say(f"The page is at {output}.")


def quantise(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")],
    case: Annotated[Path, typer.Argument(metavar="CASE", help="A case whose pictures set the scales.")],
    to: Annotated[str, typer.Option("--name", metavar="NAME", help="What the smaller model is called.")],
    table: _Table = None,
    scheme: _Scheme = None,
    workers: _Workers = _CORES,
    actor: As = None,
    as_json: Json = False,
) -> None:
    """Makes an int8 model of one, about twice as fast, and says what it costs in accuracy and gains in rate.

    With grades in the case, or a table of labels, accuracy is that of a head taught on what either network sees.

    Example: mantlet model quantise mobilenet-v2 case-17 --name mobilenet-v2-int8
    """
    from mantlet.engine import quantise as engine_  # scipy and its like take half a second to load

    opened = _opened([case], keys.actor(actor))
    said = _said(opened, table, scheme, []) if table or recognition.graded(opened[0]) else None
    with progress_bar("Quantising") as (bar, task):
        made = engine_.quantise(
            opened[0], models.to_use(name), to, said, workers,
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if as_json:
        print_json(msgspec.to_builtins(made))
    else:
        for sentence in made.sentences():
            print(sentence)  # noqa: T201


def _opened(cases: Sequence[Path], actor: keys.Actor) -> list[Case]:
    distinct = list(dict.fromkeys(path.resolve() for path in cases))
    opened = [open_case(path, actor) for path in distinct]
    log_to(opened[0].folder)
    return opened


def _said(cases: list[Case], table: Path | None, scheme: str | None, labels: Sequence[str]) -> Examples:
    if table is not None:
        if labels:
            raise UsageError("--label is for grades; a table of labels has its own.")
        return labelled.tabled(cases, table)
    means: dict[str, tuple[str, ...]] = {}
    for each in labels:
        name, equals, codes = each.partition("=")
        given = tuple(code.strip() for code in codes.split(",") if code.strip())
        if not name.strip() or not equals or not given:
            raise UsageError(f"'{each}' is no label; write it as NAME=GRADE or NAME=GRADE,GRADE.")
        if name.strip() in means or {code for meant in means.values() for code in meant} & set(given):
            raise UsageError(f"'{each}': a label is given once, and a grade has one label.")
        means[name.strip()] = given
    return labelled.graded(cases, scheme, means)


def _tell(label: Any) -> None:
    """One line for a person."""
    if label.label == NONE:
        return
    if not label.targets:
        print(f"    {label.label}: no target")  # noqa: T201
        return
    told = [f"{label.targets:,} targets"]
    if label.recall is not None:
        told.append(_share(label.recall, "finds", "% of them"))
    if label.precision is not None:
        told.append(_share(label.precision, "of 100 flagged,", "are"))
    told.append(_share(label.seen_for["95"], "95 % are found in the first", "% of the queue"))
    print(f"    {label.label}: {'; '.join(told)}")  # noqa: T201
    if label.at_base_rate is not None:
        rate, held = label.at_base_rate, label.at_base_rate.precision
        between = f"{100 * held.low:.1f} to {100 * held.high:.1f}"
        print(f"        where {100 * rate.base_rate:g} % are targets: {rate.sentence} ({between})")  # noqa: T201


def _share(share: Any, before: str, after: str) -> str:
    return f"{before} {100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f}) {after}"


def _left_out(measured: Any) -> str:
    if measured.taught is None:
        taught = "which of them it was taught on is not known"
    else:
        taught = f"{measured.taught:,} that it was taught on, or that look the same, are left out"
    return f"{taught}; of {measured.unread:,} it says nothing" if measured.unread else taught


def _about(model: Bundle, measured: Any) -> dict[str, Any]:
    """What the page says besides the figures."""
    held = model.manifest
    counted = ", ".join(f"{count:,} {label}" for label, count in measured.counted.items())
    return {
        "model": held.name,
        "version": held.version,
        "digest": model.digest,
        "notice": held.notice,
        "measured_on": [f"{measured.contents:,} contents that people labelled: {counted}.", f"{_left_out(measured)}."],
        "limits": [*measured.warnings, held.card.limits] if held.card.limits else list(measured.warnings),
        "drift": measured.drift,
    }


def _figures(name: str, digest: str, measured: Any) -> dict[str, Any]:
    built = msgspec.to_builtins(measured)
    evaluation = built.pop("evaluation")
    evaluation["labels"] = {each.pop("label"): each for each in evaluation["labels"]}
    return {"model": name, "digest": digest, **evaluation, **built}
