"""The documents say what there is."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from mantlet.case.queries import FILTERS
from mantlet.cli.app import app
from mantlet.errors import EvidenceError, IntegrityError, MantletError, NotAllowedError, UsageError
from mantlet.grading import scheme
from mantlet.pipeline import ON_REQUEST, STAGES
from mantlet.types import Containment, Place, Reason, Recovery

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def commands() -> set[str]:
    group = typer.main.get_command(app)
    names = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        names |= {f"{name} {inner}" for inner in getattr(command, "commands", {})} or {name}
    return names


def test_every_command_and_every_long_option_is_in_the_reference() -> None:
    for name in commands():
        assert name in REFERENCE, name
    group = typer.main.get_command(app)
    for command in group.commands.values():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {"": command}).values():
            for parameter in inner.params:
                for option in getattr(parameter, "opts", []):
                    if option.startswith("--") and option not in ("--json", "--help", "--output"):
                        assert f"`{option}" in REFERENCE or f" {option}" in REFERENCE, option


def test_every_reason_exit_code_and_word_of_an_item_is_in_the_reference() -> None:
    for reason in Reason:
        assert f"| {reason.value} |" in REFERENCE
    for error in (MantletError, UsageError, EvidenceError, IntegrityError, NotAllowedError):
        assert f"| {error.exit_code} |" in REFERENCE
    for word in (*Recovery, *Containment, *Place):
        assert word.value in REFERENCE
    for field in FILTERS:
        assert f"`{field}`" in REFERENCE


def test_every_finding_and_scheme_is_documented() -> None:
    model = (ROOT / "docs" / "data-model.md").read_text()
    for stage in (*STAGES, *ON_REQUEST):
        assert f"| `{stage.name}` |" in model
        assert not stage.settings or stage.settings.split()[0] in model
    assert set(scheme.names()) >= {"england-wales", "stand-in"}


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_make_target_of_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"`make ([a-z]+)`", document.read_text()):
            assert re.search(rf"^{target}:", makefile, re.M), f"{document.name}: make {target}"
