"""What is taught and measured through the real command line, and what must not happen on the way."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from mantlet.recognise.manifest import Kind, Recipe
from tests import networks
from tests.conftest import Run
from tests.test_recognition_cases import COLOURS, LABELS, allow, brought, fill, folder, graded, table, told

__all__ = ["brought", "folder"]


def copies(of: Path, to: Path) -> None:
    """Each picture of a folder again, smaller and as JPEG."""
    to.mkdir()
    for path in of.iterdir():
        Image.open(path).resize((150, 100)).save(to / f"{path.stem}.jpg", quality=90)


@pytest.fixture
def case(run: Run, brought: None, tmp_path: Path) -> Path:
    """A case of twelve pictures of each colour, on which "taught" was taught."""
    fill(tmp_path / "one", 12)
    run("scan", tmp_path / "one", "--case", tmp_path / "case", "--model", "colours")
    labels = table(tmp_path / "one.csv", tmp_path / "one")
    run(
        "model",
        "train",
        tmp_path / "case",
        "--name",
        "taught",
        "--labels",
        labels,
        "--model",
        "colours",
        "--miss",
        "0.2",
    )
    return tmp_path / "case"


def test_near_duplicates_of_what_was_taught_are_left_out(run, case, tmp_path) -> None:
    copies(tmp_path / "one", tmp_path / "copies")
    run("scan", tmp_path / "copies", "--case", tmp_path / "other")
    labels = table(tmp_path / "copies.csv", tmp_path / "copies")
    refused = run("model", "evaluate", "taught", tmp_path / "other", "--labels", labels, code=2)
    assert "was taught on all 36 of these, or on near-duplicates" in refused.err


def test_what_was_taught_is_known_when_the_model_comes_back(run, case, tmp_path, home) -> None:
    kept = (home / "models" / "taught.model").read_bytes()
    run("model", "remove", "taught")
    (tmp_path / "again.model").write_bytes(kept)
    run("model", "add", tmp_path / "again.model")
    refused = run("model", "evaluate", "taught", case, "--labels", tmp_path / "one.csv", code=2)
    assert "was taught on all 36" in refused.err


def test_measuring_a_model_puts_nothing_that_it_says_into_a_case(run, case, tmp_path) -> None:
    """It is not released, and nobody allowed it."""
    fill(tmp_path / "two", 20)
    run("scan", tmp_path / "two", "--case", tmp_path / "other")
    labels = table(tmp_path / "two.csv", tmp_path / "two")
    found = run("model", "evaluate", "taught", tmp_path / "other", "--labels", labels, "--json").json()
    assert found["contents"] == 24
    assert all(item["scores"] == {} for item in told(run, tmp_path / "other").values())
    run("report", tmp_path / "other", "-o", tmp_path / "r.html")
    assert "<h2>Models</h2>" not in (tmp_path / "r.html").read_text()
    run("verify", tmp_path / "other", "--record-only")


def test_a_model_of_somebody_else_is_measured_with_a_warning(run, case, tmp_path, home) -> None:
    for path in (home / "models").glob("*.taught"):
        path.unlink()
    found = run("model", "evaluate", "taught", case, "--labels", tmp_path / "one.csv")
    assert "the figures flatter it" in found.err


def test_a_model_without_a_head_is_measured_where_it_may_be_used(run, brought, folder, tmp_path, home) -> None:
    run("scan", folder, "--case", tmp_path / "case")
    labels = table(tmp_path / "t.csv", folder)
    found = run("model", "evaluate", "colours", tmp_path / "case", "--labels", labels, "--json").json()
    assert found["labels"]["red"]["recall"]["value"] == 1
    allow(home)
    refused = run("model", "evaluate", "colours", tmp_path / "case", "--labels", labels, code=5)
    assert "is not signed" in refused.err


@pytest.mark.parametrize("order", [("colours", "taught"), ("taught", "colours")])
def test_models_that_share_a_network(run, case, tmp_path, home, order) -> None:
    allow(home, "colours", "taught")
    named = [argument for name in order for argument in ("--model", name)]
    run("scan", tmp_path / "one", "--case", tmp_path / "both", *named)
    for name, item in told(run, tmp_path / "both").items():
        for scores in item["scores"].values():
            assert max(scores, key=scores.get) == name.split("-")[0]
        assert set(item["scores"]) == {"colours", "taught"}


def test_a_model_that_says_nothing_of_some_is_told_so(run, home, folder, tmp_path) -> None:
    """The root of 0.7 less the red of a picture, of the reddest none."""
    network = networks.network(
        helper.make_node("ReduceMean", ["picture"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["limit", "means"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["embedding"]),
        outputs={"embedding": ["n", 3]},
        limit=np.array([0.7, 9, 9], np.float32),
    )
    recipe = Recipe("picture", 16, 16, embedding="embedding")
    (tmp_path / "it").write_bytes(networks.made(network, kind=Kind.EMBEDDER, recipe=recipe, labels=()))
    run("model", "add", tmp_path / "it")
    allow(home, "colours")
    run("scan", folder, "--case", tmp_path / "case")
    found = run("recognise", tmp_path / "case", "--model", "colours", "--json").json()["models"][0]
    assert (found["contents"], found["answered"], found["silent"]) == (12, 8, {"model gave no answer": 4})


def test_a_scan_says_what_a_model_could_not_see_any_more(run, brought, folder, tmp_path) -> None:
    run("scan", folder, "--case", tmp_path / "case")
    (folder / "red-1.png").unlink()
    done = run("scan", folder, "--case", tmp_path / "case", "--model", "colours", code=1)
    assert "1 pictures and clips could not be read again for a model" in done.err


def test_int8_keeps_no_promise_that_it_never_made(run, folder, tmp_path, home) -> None:
    fill(tmp_path / "one", 12)
    run("scan", tmp_path / "one", "--case", tmp_path / "case")
    labels = table(tmp_path / "one.csv", tmp_path / "one")
    run(
        "model",
        "train",
        tmp_path / "case",
        "--name",
        "taught",
        "--labels",
        labels,
        "--model",
        "builtin",
        "--miss",
        "0.2",
    )
    refused = run("model", "quantise", "taught", tmp_path / "case", "--name", "small", code=5)
    assert "is not signed" in refused.err
    allow(home, "taught")
    made = run("model", "quantise", "taught", tmp_path / "case", "--name", "small", "--labels", labels, "--json").json()
    assert (made["before"], made["contents"]) == (None, 0)
    assert "that it was not taught on" in made["why"]
    shown = run("model", "show", "small").json()
    assert {label["threshold"] for label in shown["labels"]} == {None}
    assert shown["card"]["membership"] == shown["evaluation"] == {}
    refused = run("model", "evaluate", "small", tmp_path / "case", "--labels", labels, code=2)
    assert "was taught on all 36" in refused.err


def test_labels_that_nobody_gave(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    graded(case, "DC One", {"red": "A", "green": "B", "blue": "not-relevant"}).close()
    train = ("model", "train", case, "--name", "x", "--model", "colours")
    assert "Nothing is graded Q" in run(*train, "--label", "red=A", "--label", "gun=Q", code=2).err
    assert "call the label something else" in run(*train, "--label", "none of these=A", code=2).err
    assert "is no label" in run(*train, "--label", "red", code=2).err
    assert "a grade has one label" in run(*train, "--label", "red=A", "--label", "warm=A,B", code=2).err
    for name, sentence in (("../x", "cannot be a model's name"), ("builtin", "built in"), ("colours", "There is a")):
        refused = run("model", "train", case, "--name", name, "--model", "colours", code=2)
        assert sentence in refused.err


def test_labels_whose_names_cross_the_grades_of_others(run, brought, tmp_path) -> None:
    fill(tmp_path / "one", 12)
    run("scan", tmp_path / "one", "--case", tmp_path / "case-1", "--model", "colours")
    graded(tmp_path / "case-1", "DC One", {"red": "A", "green": "B", "blue": "not-relevant"}).close()
    labels = ("--label", "B=A", "--label", "A=B")
    run("model", "train", tmp_path / "case-1", "--name", "crossed", "--model", "colours", "--miss", "0.2", *labels)
    fill(tmp_path / "two", 20)
    run("scan", tmp_path / "two", "--case", tmp_path / "case-2", "--model", "colours")
    graded(tmp_path / "case-2", "DC One", {"red": "A", "green": "B"}).close()
    found = run("model", "evaluate", "crossed", tmp_path / "case-2", "--json").json()["labels"]
    assert {name: found[name]["targets"] for name in ("A", "B")} == {"A": 8, "B": 8}
    assert found["A"]["average_precision"]["value"] > 0.9


def test_a_table_of_labels_from_a_spreadsheet(run, brought, folder, tmp_path) -> None:
    """With the mark of its encoding, and lines that end as on Windows."""
    network = tmp_path / "net.onnx"
    network.write_bytes(networks.colours())
    recipe = {"name": "seen", "kind": "classifier", "licence": "CC0-1.0", "recipe": {
        "input": "picture", "width": 16, "height": 16, "embedding": "embedding", "scores": "scores"}}  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    (tmp_path / "labels.txt").write_bytes("\ufeffred\r\ngreen\r\nblue\r\n".encode())
    run("model", "add", network, "--recipe", tmp_path / "recipe.json", "--labels", tmp_path / "labels.txt")
    assert [label["name"] for label in run("model", "show", "seen").json()["labels"]] == list(COLOURS)
    run("scan", folder, "--case", tmp_path / "case")
    rows = table(tmp_path / "t.csv", folder).read_text().splitlines()
    (tmp_path / "t.csv").write_bytes("\r\n".join(["\ufeff" + rows[0], *rows[1:]]).encode())
    found = run("model", "evaluate", "colours", tmp_path / "case", "--labels", tmp_path / "t.csv", "--json").json()
    assert found["counted"] == {"blue": 4, "green": 4, "red": 4}


def test_a_changed_file_of_embeddings_is_found(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    sha256 = hashlib.sha256((folder / "red-1.png").read_bytes()).hexdigest()
    run("similar", case, "--to", sha256, "--model", "colours")
    run("verify", case, "--record-only")
    (path,) = (case / "vectors").iterdir()
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    assert "made anew" in run("verify", case, "--record-only", code=4).err
    path.unlink()
    run("verify", case, "--record-only")


def test_the_same_example_again_changes_nothing(run, brought, folder, tmp_path) -> None:
    case = tmp_path / "case"
    run("scan", folder, "--case", case, "--model", "colours")
    once = run("similar", case, "--to", folder / "red-1.png", "--json").json()
    again = run("similar", case, *(["--to", folder / "red-1.png"] * 5), "--json").json()
    assert once == again
    cosines = [row["cosine"] for row in once["similar"]]
    assert cosines == sorted(cosines, reverse=True)
    assert max(cosines) == 1


def test_a_broken_model_stands_in_nobodys_way(run, brought, folder, tmp_path, home) -> None:
    run("scan", folder, "--case", tmp_path / "case")
    (home / "models" / "zz.model").write_bytes(networks.made(labels=LABELS)[:-50])
    run("similar", tmp_path / "case", "--to", folder / "red-1.png")
    rows = {row["name"]: row["fault"] for row in run("model", "list", "--json").json()}
    assert rows["builtin"] is None
    assert "damaged" in rows["zz"]


HASTY = """
import sys
from pathlib import Path
from mantlet import settings
from mantlet.case.case import open_case
from mantlet.engine.recognise import recognise
from mantlet.governance import keys
from mantlet.recognise import models

if __name__ == "__main__":
    settings.CONTENT_SECONDS = 3  # more than twice the tick of the engine
    case = open_case(Path(sys.argv[1]), keys.actor("x"))
    print([recognise(case, models.to_use(name), 1).answered for name in ("loop", "colours")])
"""


def test_a_model_that_hangs_at_a_picture_takes_nothing_from_another(run, brought, tmp_path, home) -> None:
    (tmp_path / "loop.model").write_bytes(networks.made(networks.never_ending(), name="loop"))
    run("model", "add", tmp_path / "loop.model")
    allow(home, "colours", "loop")
    fill(tmp_path / "exhibit", 1)
    case = tmp_path / "case"
    run("scan", tmp_path / "exhibit", "--case", case)
    (tmp_path / "hasty.py").write_text(HASTY)
    done = subprocess.run([sys.executable, tmp_path / "hasty.py", case], capture_output=True, text=True, check=True)
    assert done.stdout == "[2, 3]\n"
    red = told(run, case)["red-0.png"]
    assert max(red["scores"]["colours"], key=red["scores"]["colours"].get) == "red"
    assert "longer than 3 seconds" in red["absent"]["scores loop"]
