"""Models at work on cases through the real command line: looked, told, taught, measured, released."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from mantlet.case.case import Case, open_case
from mantlet.case.decisions import Seen, decide
from mantlet.governance import keys
from mantlet.grading import scheme
from mantlet.recognise import bundle
from mantlet.recognise.manifest import Frames, Label, Threshold
from tests import networks
from tests.conftest import Run
from tests.recognise.test_bundle import CARD
from tests.recognise.test_runtime import ONLY_SCORES

COLOURS = {"red": (230, 30, 30), "green": (30, 230, 30), "blue": (30, 30, 230)}
LABELS = tuple(Label(name, (name,), Threshold(0.5, 0.05, 40, "given")) for name in COLOURS)


def painted(colour: str, number: int) -> Image.Image:
    """A picture of a colour, unlike every other."""
    generator = np.random.default_rng([number, *COLOURS[colour]])
    blocks = np.asarray(COLOURS[colour]) + generator.integers(-110, 110, (6, 9, 1))
    return Image.fromarray(blocks.clip(0, 255).astype(np.uint8)).resize((180, 120), Image.Resampling.BICUBIC)


def fill(folder: Path, each: int) -> None:
    folder.mkdir(parents=True)
    for colour in COLOURS:
        for number in range(each):
            painted(colour, number).save(folder / f"{colour}-{number}.png")


def table(path: Path, folder: Path, *, none: str = "") -> Path:
    """The label of each picture in a folder, by its name; those of the colour `none` have no label."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sha256", "label"])
        for picture in sorted(folder.iterdir()):
            colour = picture.name.split("-")[0]
            rows.writerow([hashlib.sha256(picture.read_bytes()).hexdigest(), "" if colour == none else colour])
    return path


def allow(home: Path, *names: str, authorities: tuple[str, ...] = ()) -> None:
    policy = {"allowed_models": names, "model_authorities": authorities}
    (home / "policy.json").write_text(json.dumps(policy))


@pytest.fixture
def brought(run: Run, home: Path, tmp_path: Path) -> None:
    """The model "colours" is there, and may be used."""
    path = tmp_path / "colours.model"
    path.write_bytes(networks.made(labels=LABELS))
    run("model", "add", path)
    allow(home, "colours")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "exhibit", 4)
    return tmp_path / "exhibit"


def told(run: Run, case: Path, *arguments: str) -> dict[str, dict]:
    return {item["name"]: item for item in run("list", case, "--json", *arguments).lines()}


def test_a_scan_with_a_model_scores_each_picture(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    items = told(run, case)
    assert len(items) == 12
    for name, item in items.items():
        colour = name.split("-")[0]
        assert max(item["scores"]["colours"], key=item["scores"]["colours"].get) == colour
        assert item["recognised"]["colours"]["flagged"] == [colour]
    assert {name.split("-")[0] for name in told(run, case, "--where", "flagged=red")} == {"red"}
    ranked = [item["name"] for item in run("list", case, "--json", "--by", "blue").lines()]
    assert {name.split("-")[0] for name in ranked[:4]} == {"blue"}
    run("verify", case)


def test_a_model_looks_at_what_was_scanned_before_it_came(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case)
    assert all(item["scores"] == {} and "scores" in item["absent"] for item in told(run, case).values())
    first = run("recognise", case, "--model", "colours", "--json").json()
    assert first["models"][0]["flagged"] == {"red": 4, "green": 4, "blue": 4}
    scanned = tmp_path / "scanned"
    run("scan", folder, "--case", scanned, "--model", "colours")
    assert [item["scores"] for item in told(run, case).values()] == [
        item["scores"] for item in told(run, scanned).values()
    ]
    again = run("recognise", case, "--model", "colours", "--json").json()
    assert (again["models"][0]["answered"], again["out_of_reach"]) == (12, 0)
    run("verify", case)


def test_a_second_head_needs_no_exhibit(run, brought, folder, tmp_path, home) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    run("model", "train", case, "--name", "taught", "--labels", table(tmp_path / "t.csv", folder), code=2)
    fill(tmp_path / "more", 9)
    run("scan", tmp_path / "more", "--case", case, "--model", "colours")
    labels = table(tmp_path / "t.csv", tmp_path / "more")
    run("model", "train", case, "--name", "taught", "--labels", labels, "--model", "colours")
    allow(home, "colours", "taught")
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "more")
    done = run("recognise", case, "--model", "taught", "--json").json()
    assert done["models"][0]["answered"] == 27
    for name, item in told(run, case).items():
        assert max(item["scores"]["taught"], key=item["scores"]["taught"].get) == name.split("-")[0]
    run("verify", case, "--record-only")


@pytest.mark.parametrize(("nth", "blue"), [(1, True), (3, False)])
def test_a_clip_scores_by_the_rule_of_its_bundle(run, home, tmp_path, nth, blue) -> None:
    (tmp_path / "it.model").write_bytes(networks.made(labels=LABELS, frames=Frames(nth)))
    run("model", "add", tmp_path / "it.model")
    allow(home, "colours")
    (tmp_path / "exhibit").mkdir()
    first, *rest = [painted("red", number) for number in range(4)] + [painted("blue", number) for number in range(2)]
    first.save(tmp_path / "exhibit" / "clip.png", save_all=True, append_images=rest, duration=500)
    case = tmp_path / "case"
    run("scan", tmp_path / "exhibit", "--case", case, "--model", "colours")
    (item,) = told(run, case).values()
    assert item["kind"] == "moving"
    assert item["scores"]["colours"]["red"] > 0.9
    assert (item["scores"]["colours"]["blue"] > 0.9) is blue
    assert set(item["recognised"]["colours"]["flagged"]) == ({"red", "blue"} if blue else {"red"})
    blues = tmp_path / "blue.png"
    painted("blue", 1).save(blues)
    (found,) = run("similar", case, "--to", blues, "--model", "colours", "--json").json()["similar"]
    assert found["cosine"] > 0.99  # by the frame that looks most like it


def test_what_was_gone_is_told_and_not_stored(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case)
    (folder / "red-1.png").unlink()
    done = run("recognise", case, "--model", "colours", code=1)
    assert "1 pictures and clips could not be read again" in done.err
    assert told(run, case)["red-1.png"]["scores"] == {}


def test_an_unsigned_model_is_not_used(run, folder, tmp_path) -> None:
    (tmp_path / "it").write_bytes(networks.made())
    run("model", "add", tmp_path / "it")
    refused = run("scan", folder, "--case", tmp_path / "case", "--model", "colours", code=5)
    assert "is not signed" in refused.err
    assert not (tmp_path / "case").exists()


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"", 3, "is not a model bundle"),
        (networks.made()[:-9], 4, "seal of"),
        (networks.made(networks.unknown_operator(), recipe=ONLY_SCORES), 3, "Frobnicate"),
        (networks.made(networks.colours(scores=2)), 3, "2 scores for 3 labels"),
        (networks.made(networks.colours(side=32)), 3, "takes n x 3 x 32 x 32"),
        (networks.made(networks.constant(scores=[np.nan, 0, 0], embedding=[1.0, 2.0])), 3, "not numbers"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_used_is_not_taken_in(run, tmp_path, data, code, sentence) -> None:
    (tmp_path / "it").write_bytes(data)
    refused = run("model", "add", tmp_path / "it", code=code)
    assert sentence in refused.err
    assert refused.err.count("\n") == 1
    assert [row["name"] for row in run("model", "list", "--json").json()] == ["builtin"]


def test_a_network_comes_with_a_recipe(run, tmp_path, folder, home) -> None:
    (tmp_path / "net.onnx").write_bytes(networks.colours())
    recipe = {
        "name": "seen", "kind": "classifier", "licence": "CC0-1.0", "labels": ["red", "green"],
        "recipe": {"input": "picture", "width": 16, "height": 16, "embedding": "embedding", "scores": "scores"},
    }  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    few = run("model", "add", tmp_path / "net.onnx", "--recipe", tmp_path / "recipe.json", code=3)
    assert "3 scores for 2 labels" in few.err.replace("1.5 scores", "3 scores")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    arguments = ("--recipe", tmp_path / "recipe.json", "--labels", tmp_path / "labels.txt", "--name", "other")
    run("model", "add", tmp_path / "net.onnx", *arguments)
    shown = run("model", "show", "other").json()
    assert [label["name"] for label in shown["labels"]] == ["red", "green", "blue"]
    taken = run("model", "add", tmp_path / "net.onnx", *arguments, code=2)
    assert "mantlet model remove other" in taken.err


def test_look_alikes_on_a_fresh_machine(run, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case)
    painted("green", 77).save(tmp_path / "asked.png")
    found = run("similar", case, "--to", tmp_path / "asked.png", "--most", "4", "--json")
    rows = found.json()["similar"]
    assert {row["name"].split("-")[0] for row in rows} == {"green"}
    assert [row["cosine"] for row in rows] == sorted((row["cosine"] for row in rows), reverse=True)
    assert found.err.startswith("Weak: hand-made filters")
    own = rows[0]["sha256"]
    assert own not in {row["sha256"] for row in run("similar", case, "--to", own, "--json").json()["similar"]}
    (tmp_path / "no.txt").write_text("no picture")
    assert "neither a picture nor a clip" in run("similar", case, "--to", tmp_path / "no.txt", code=3).err
    assert "no content of this case" in run("similar", case, "--to", "ab" * 32, code=2).err


def test_five_examples_find_more_like_them(run, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case)
    examples = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(examples):
        painted("blue", 100 + number).save(path)
    to = [argument for path in examples for argument in ("--to", path)]
    rows = run("similar", case, *to, "--most", "4", "--json").json()["similar"]
    assert {row["name"].split("-")[0] for row in rows} == {"blue"}


def graded(case: Path, by: str, grades: dict[str, str]) -> Case:
    """Pictures graded by the beginning of their name."""
    opened = open_case(case, keys.actor(by))
    names = {row["name"]: row["sha256"] for row in items(opened)}
    for name, sha256 in names.items():
        if name.split("-")[0] in grades:
            decide(opened, keys.actor(by), scheme.load(scheme.DEFAULT), sha256, grades[name.split("-")[0]], Seen())
    return opened


def items(case: Case):
    from mantlet.case import queries

    return list(queries.items(case))


def test_taught_released_exported_and_measured_elsewhere(run, brought, tmp_path, home, monkeypatch) -> None:
    """The whole way of a model, from grades to another machine."""
    fill(tmp_path / "one", 12)
    run("scan", tmp_path / "one", "--case", tmp_path / "case-1", "--model", "colours")
    graded(tmp_path / "case-1", "DC One", {"red": "A", "green": "B", "blue": "not-relevant"}).close()
    train = (
        "model",
        "train",
        tmp_path / "case-1",
        "--name",
        "reds",
        "--label",
        "red=A",
        "--model",
        "colours",
        "--miss",
        "0.1",
    )
    made = run(*train, "--json").json()
    assert [label["name"] for label in made["labels"]] == ["red", "none of these"]
    assert made["labels"][0]["means"] == ["A"]
    assert made["card"]["taught_on"]["labels"] == {"none of these": 24, "red": 12}
    assert 0 <= made["card"]["membership"]["auc"] <= 1

    refused = run("model", "export", "reds", "-o", tmp_path / "reds.model", code=5)
    assert "has not been released" in refused.err
    refused = run("model", "sign", "reds", "--as", "Supt Example", code=5)
    assert "does not say its purpose" in refused.err
    (tmp_path / "card.json").write_text(msgspec.json.encode(CARD).decode())
    run("model", "card", "reds", tmp_path / "card.json")
    kept = run("model", "card", "reds", "--json").json()
    assert kept["missing"] == []
    assert kept["taught_on"] == made["card"]["taught_on"]
    run("model", "sign", "reds", "--as", "Supt Example", "--expires", "2099-12-31")
    refused = run("model", "export", "reds", "-o", tmp_path / "reds.model", code=5)
    assert "whom your policy does not name" in refused.err
    allow(home, "colours", authorities=(run("key", "show", "Supt Example", "--json").json()["public_key"],))
    run("model", "export", "reds", "-o", tmp_path / "reds.model")
    data = (tmp_path / "reds.model").read_bytes()
    for row in items(open_case(tmp_path / "case-1")):
        assert row["sha256"].encode() not in data
        assert bytes.fromhex(row["sha256"]) not in data
    assert bundle.read(data, "it").manifest.authority == "Supt Example"

    monkeypatch.setenv("MANTLET_HOME", str(tmp_path / "elsewhere"))
    key = keys.actor("Somebody Else").public_key
    monkeypatch.undo()
    again = run("model", "evaluate", "reds", tmp_path / "case-1", code=2)
    assert "was taught on all 36 of these, or on near-duplicates" in again.err
    fill(tmp_path / "two", 20)
    run("scan", tmp_path / "two", "--case", tmp_path / "case-2", "--model", "colours")
    graded(tmp_path / "case-2", "DC Two", {"red": "A", "green": "C", "blue": "not-relevant"}).close()
    page = tmp_path / "reds.html"
    found = run("model", "evaluate", "reds", tmp_path / "case-2", "--base-rate", "0.01", "-o", page, "--json")
    figures = found.json()
    red = figures["labels"]["red"]
    assert (figures["contents"], figures["taught"]) == (24, 36)
    for name in ("precision", "recall", "average_precision"):
        assert red[name]["low"] <= red[name]["value"] <= red[name]["high"]
    assert red["recall"]["value"] >= 0.7
    assert red["average_precision"]["value"] > 0.9
    assert set(red["seen_for"]) == {"80", "95", "100"}
    assert "Of 100 flagged" in red["at_base_rate"]["sentence"]
    assert figures["drift"][0]["alarm"] is False
    text = page.read_text()
    assert "<script" not in text
    assert "<svg" in text

    allow(home, authorities=(key,))
    other = run("scan", tmp_path / "two", "--case", tmp_path / "case-3", "--model", "reds", code=5)
    assert "whom your policy does not name" in other.err
    allow(home, authorities=(run("key", "show", "Supt Example", "--json").json()["public_key"],))
    run("scan", tmp_path / "two", "--case", tmp_path / "case-3", "--model", "reds")
    flagged = set(told(run, tmp_path / "case-3", "--where", "flagged=red"))
    assert len(flagged) >= 15
    assert {name.split("-")[0] for name in flagged} == {"red"}


def test_an_alarm_when_a_released_model_misses_more_than_it_was_released_for(run, brought, tmp_path, home) -> None:
    """The officers of a later case call everything what the model calls something else."""
    fill(tmp_path / "one", 12)
    run("scan", tmp_path / "one", "--case", tmp_path / "case-1", "--model", "colours")
    graded(tmp_path / "case-1", "DC One", {"red": "A", "green": "not-relevant", "blue": "not-relevant"}).close()
    run(
        "model",
        "train",
        tmp_path / "case-1",
        "--name",
        "reds",
        "--label",
        "red=A",
        "--model",
        "colours",
        "--miss",
        "0.2",
    )
    (tmp_path / "card.json").write_text(msgspec.json.encode(CARD).decode())
    run("model", "card", "reds", tmp_path / "card.json")
    run("model", "sign", "reds")
    fill(tmp_path / "two", 25)
    run("scan", tmp_path / "two", "--case", tmp_path / "case-2", "--model", "colours")
    graded(tmp_path / "case-2", "DC Two", {"red": "not-relevant", "green": "A", "blue": "not-relevant"}).close()
    found = run("model", "evaluate", "reds", tmp_path / "case-2")
    assert "Alarm for red" in found.err


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("", "must name its columns"),
        ("sha256,label\n", "holds no row"),
        ("name,label\nx,red\n", "must name its columns"),
        ("sha256,label\nxyz,red\n", "is no SHA-256"),
        (f"sha256,label\n{'ab' * 32},red\n", "is in these cases"),
    ],
)
def test_a_table_that_teaches_nothing(run, brought, folder, tmp_path, rows, sentence) -> None:
    run("scan", folder, "--case", tmp_path / "case")
    (tmp_path / "t.csv").write_text(rows)
    refused = run("model", "train", tmp_path / "case", "--name", "x", "--labels", tmp_path / "t.csv", code=2)
    assert sentence in refused.err


def test_what_cannot_be_learnt_from(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    train = ("model", "train", case, "--name", "x", "--model", "colours")
    assert "Nothing in these cases is graded yet" in run(*train, code=2).err
    graded(case, "DC One", {"red": "A"}).close()
    assert run(*train, code=2).err.endswith(".\n")
    whole = table(tmp_path / "t.csv", folder)
    sha256 = hashlib.sha256((folder / "red-1.png").read_bytes()).hexdigest()
    whole.write_text(whole.read_text() + f"{sha256},green\n")
    refused = run(*train, "--labels", whole, code=2)
    assert "1 contents are given two labels, exact copies" in refused.err
    assert [row["name"] for row in run("model", "list", "--json").json()] == ["builtin", "colours"]


def test_grades_of_two_cases_that_contradict_each_other(run, brought, folder, tmp_path) -> None:
    for number, grades in enumerate(({"red": "A", "green": "not-relevant"}, {"red": "not-relevant", "green": "A"})):
        run("scan", folder, "--case", tmp_path / f"case-{number}", "--model", "colours")
        graded(tmp_path / f"case-{number}", "DC One", grades).close()
    both = (tmp_path / "case-0", tmp_path / "case-1")
    refused = run("model", "train", *both, "--name", "x", "--model", "colours", code=2)
    assert "8 contents are given two labels" in refused.err


def test_a_changed_embedding_is_found(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    opened = open_case(case, keys.actor("x"))
    with opened.change() as change:
        change.record("tampering", {})
        change.tx.execute("UPDATE vector SET numbers = zeroblob(8) WHERE rowid = 3")
    opened.close()
    assert "embedding" in run("verify", case, "--record-only", code=4).err


def test_of_two_models_of_one_name_the_last_counts(run, brought, tmp_path, home) -> None:
    fill(tmp_path / "exhibit", 8)
    case = tmp_path / "case"
    run("scan", tmp_path / "exhibit", "--case", case, "--model", "colours")
    allow(home, "colours", "it")
    for none in ("blue", "green", "blue"):
        labels = table(tmp_path / "t.csv", tmp_path / "exhibit", none=none)
        run("model", "train", case, "--name", "it", "--labels", labels, "--model", "colours", "--miss", "0.2")
        run("recognise", case, "--model", "it")
        labels_told = {label for item in told(run, case).values() for label in item["scores"]["it"]}
        other = "green" if none == "blue" else "blue"
        assert labels_told == {"red", other, "none of these"}
        assert other in {
            label
            for item in told(run, case, "--where", f"flagged={other}").values()
            for label in item["recognised"]["it"]["flagged"]
        }
        run("model", "remove", "it")
    run("model", "remove", "colours")
    (tmp_path / "more.model").write_bytes(networks.made(labels=(Label("warm"), Label("grassy"), Label("cold"))))
    run("model", "add", tmp_path / "more.model")
    run("recognise", case, "--model", "colours")
    assert told(run, case, "--where", "flagged=red").keys() == {
        name for name, item in told(run, case).items() if "red" in item["recognised"]["it"]["flagged"]
    }
