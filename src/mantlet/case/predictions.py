"""What the labels of the models that looked at a case mean in its scheme."""

from __future__ import annotations

from mantlet.case import recognition
from mantlet.case.case import Case
from mantlet.errors import MantletError, UsageError
from mantlet.grading import mapping
from mantlet.grading.scheme import Scheme
from mantlet.recognise import models
from mantlet.recognise.manifest import SCORES, Label, Manifest

Meanings = dict[str, tuple[str, ...]]
"""Label -> the grades that it stands for."""


def meanings(case: Case, scheme: Scheme) -> dict[str, Meanings]:
    """Settings of the finding "scores" -> what its labels mean in `scheme`; those that mean nothing in it are left out.

    A model says in its manifest what its labels mean; grades of another scheme go through the mapping of the two. Of a
    model that this machine does not have, a label means the grade of the same name.
    """
    codes = {grade.code for grade in scheme.grades}
    found: dict[str, Meanings] = {}
    for settings, names in recognition.current(case).items():
        manifest = _manifest(names, settings)
        if manifest is None:
            found[settings] = {code: (code,) for code in codes}
            continue
        grades = {label.name: _grades(label, manifest.scheme, scheme, codes) for label in manifest.labels}
        found[settings] = {label: means for label, means in grades.items() if means}
    return found


def _manifest(names: list[str], settings: str) -> Manifest | None:
    for name in names:
        try:
            manifest = models.load(name).manifest
        except MantletError:
            continue
        if manifest.states.get(SCORES) == settings:
            return manifest
    return None


def _grades(label: Label, of: str, scheme: Scheme, codes: set[str]) -> tuple[str, ...]:
    means = label.means or (label.name,)
    if of and of != scheme.name:
        means = tuple(filter(None, (_mapped(of, scheme.name, code) for code in means)))
    return tuple(code for code in means if code in codes)


def _mapped(of: str, to: str, code: str) -> str | None:
    try:
        return mapping.map_grade(of, to, code)
    except UsageError:
        return None
