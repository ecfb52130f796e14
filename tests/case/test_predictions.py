"""What labels of models mean in the scheme of a case: by their manifest, through a mapping, or by their names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cases import Picture, add

from mantlet.case import predictions
from mantlet.case.case import Case
from mantlet.case.predictions import meanings
from mantlet.errors import UsageError
from mantlet.grading import scheme
from mantlet.recognise.manifest import Label

STAND_IN = scheme.load("stand-in")
AMERICAN = scheme.load("project-vic-us-dhs")


@pytest.fixture
def case(case: Case) -> Case:
    """One at which the model "boats" looked."""
    add(case, [Picture("boat")])
    with case.change() as change:
        change.record("model used", {"name": "boats", "digest": "d", "ground": "g", "states": {"scores": "s"}})
    return case


def has(monkeypatch: pytest.MonkeyPatch, *labels: Label, of: str = "stand-in", states: str = "s") -> None:
    """Puts the model of that name on this machine."""
    manifest = SimpleNamespace(labels=labels, scheme=of, states={"scores": states})

    def load(name: str) -> Any:
        if name != "boats":
            raise UsageError(f"There is no model '{name}'.")
        return SimpleNamespace(manifest=manifest)

    monkeypatch.setattr(predictions.models, "load", load)


def test_a_label_means_what_the_manifest_says(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, Label("sails", ("boat", "camera")), Label("other"), Label("lorry"), Label("x", ("tree",)))
    assert meanings(case, STAND_IN) == {"s": {"sails": ("boat", "camera"), "other": ("other",)}}


def test_grades_of_another_scheme_go_through_a_mapping(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, Label("plain", ("0",)), Label("none", ("5",)), of="project-vic-us")
    assert meanings(case, AMERICAN) == {"s": {"plain": ("5",)}}
    assert meanings(case, STAND_IN) == {"s": {}}, "there is no mapping to it"


@pytest.mark.parametrize("states", ["another", None])
def test_of_a_model_that_is_not_here_a_label_means_the_grade_of_its_name(
    case: Case, monkeypatch: pytest.MonkeyPatch, states: str | None
) -> None:
    if states:
        has(monkeypatch, Label("sails", ("boat",)), states=states)
    assert meanings(case, STAND_IN) == {"s": {each.code: (each.code,) for each in STAND_IN.grades}}
