"""A model at work against its parts: the stage against the bare runtime, and a scan with a model against a scan
without one and the bare runtime. `python -m benchmarks.running stage|scan` (`measured`).

MobileNetV2 and the benign photographs, which lie beside this checkout (`missing`). Every figure is processor time on
one core. What is compared takes turns, in rounds short enough that other work on the machine slows all of it alike;
the ratio is that of each round, and the median of the rounds counts.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.cost import adopt, cost_of
from mantlet.media import picture
from mantlet.media.picture import Pixels
from mantlet.recognise import adding, bundle
from mantlet.recognise.bundle import Bundle
from mantlet.recognise.prepare import prepare
from mantlet.recognise.quantise import quantise
from mantlet.recognise.runtime import Running

_SHARED: Final = Path(__file__).parents[2] / "shared"
_NETWORK: Final = _SHARED / "models" / "mobilenet_v2.onnx"
_TABLE: Final = _SHARED / "data" / "photos.tsv"
_RECIPE: Final = "mobilenet-v2"
_LARGE: Final = (700, 1023, 3)
"""As large as a decoded picture gets: height and width, R G B."""
_PICTURES: Final = 50
_STAGE_ROUNDS: Final = 15
_CALIBRATION: Final = 56
_SCAN_ROUNDS: Final = 5
_SCANNED: Final = 1000
_AT_ONCE: Final = 100


class Stage(NamedTuple):
    """Pictures a second of processor time by the stage and by the bare runtime, and the one over the other."""

    ours: float
    bare: float
    ratio: float


class Scan(NamedTuple):
    """Milliseconds of processor time a picture, start-up left out: of a scan with the model, of one without, of the
    bare runtime, and of preparing its input; and the first over the sum of the others."""

    whole: float
    without: float
    bare: float
    prepared: float
    ratio: float


def missing() -> str | None:
    """Why this cannot be measured here."""
    there = _NETWORK.is_file() and _TABLE.is_file()
    return None if there else "shared/data and shared/models do not lie beside this checkout"


def measured(what: str) -> Any:
    """`Stage` by what is fed, of "stage"; `Scan`, of "scan"; each as a dictionary. In a process of its own, so that
    its children are all whose time counts, and libraries use one thread."""
    alone = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    command = [sys.executable, "-m", "benchmarks.running", what]
    return json.loads(subprocess.run(command, env=alone, check=True, capture_output=True).stdout)


def photographs(count: int) -> list[Path]:
    """Evenly from all classes."""
    with _TABLE.open(newline="") as file:
        paths = [_TABLE.parent / row["path"] for row in csv.DictReader(file, delimiter="\t")]
    return [paths[place] for place in np.linspace(0, len(paths) - 1, count).astype(int)]


def stages() -> dict[str, Stage]:
    """By what is fed: decoded photographs, pictures as large as they come, and photographs to the network in 8 bits."""
    model = _model()
    photos = [_decoded(each) for each in photographs(_PICTURES)]
    source = np.random.default_rng(1)
    large = [source.integers(0, 256, _LARGE, np.uint8) for _ in range(_PICTURES)]
    return {
        "photographs": _stage(model, photos),
        f"{_LARGE[1]}x{_LARGE[0]}": _stage(model, large),
        "8 bits": _stage(_in_eight_bits(model), photos),
    }


def _model() -> Bundle:
    return bundle.read(adding.bundled(_NETWORK, adding.recipe(_RECIPE), None, None, "bench"), _RECIPE)


def _in_eight_bits(model: Bundle) -> Bundle:
    recipe = model.manifest.recipe
    inputs = np.stack([prepare(_decoded(each), recipe) for each in photographs(_CALIBRATION)])
    small = quantise(model.network, np.array_split(inputs, _CALIBRATION // 8), recipe.input)
    return bundle.read(bundle.make(model.manifest, small), _RECIPE)


def _decoded(path: Path) -> Pixels:
    return picture.decode(path.read_bytes()).pixels  # type: ignore[no-any-return]


def _stage(model: Bundle, pictures: Sequence[Pixels]) -> Stage:
    running, bare = Running(model), bare_runtime(model)
    inputs = [prepare(each, model.manifest.recipe)[np.newaxis] for each in pictures]
    stills = [[each] for each in pictures]
    rounds = [(_each(running.look, stills)[0], _each(bare, inputs)[0]) for _ in range(_STAGE_ROUNDS)]
    ours, alone = 1000 / np.median(rounds, axis=0)
    return Stage(ours, alone, statistics.median(theirs / mine for mine, theirs in rounds))


def bare_runtime(model: Bundle) -> Callable[[NDArray[Any]], Any]:
    """ONNX Runtime and nothing else: a tensor in, the embedding out, on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.network, options, providers=["CPUExecutionProvider"])
    recipe = model.manifest.recipe
    return lambda tensor: session.run([recipe.embedding], {recipe.input: tensor})


def _each(work: Callable[[Any], Any], given: Sequence[Any]) -> tuple[float, list[Any]]:
    """Milliseconds of processor time for one, and what came of each."""
    started = time.process_time()
    done = [work(each) for each in given]
    return (time.process_time() - started) * 1000 / len(given), done


def scan(folder: Path) -> Scan:
    """A scan of photographs; `folder` is for the evidence, the case and a home of its own. `adopt` comes first."""
    evidence, empty, home = folder / "evidence", folder / "empty", folder / "home"
    for each in (evidence, empty, home):
        each.mkdir()
    for number, path in enumerate(photographs(_SCANNED)):
        (evidence / f"{number:05}{path.suffix}").write_bytes(path.read_bytes())
    (home / "policy.json").write_text(f'{{"allowed_models": ["{_RECIPE}"]}}')
    _mantlet(folder, "model", "add", str(_NETWORK), "--recipe", _RECIPE)
    model, named = _model(), ("--model", _RECIPE)
    bare = bare_runtime(model)
    _scanned(folder, empty, *named)  # what is compiled then is kept
    halves = np.array_split(np.array(photographs(_SCANNED)), 2)
    rounds = []
    for _ in range(_SCAN_ROUNDS):
        without = _scanned(folder, evidence) - _scanned(folder, empty)
        before = _parts(model, bare, halves[0])
        whole = _scanned(folder, evidence, *named) - _scanned(folder, empty, *named)
        after = _parts(model, bare, halves[1])
        rounds.append((whole, without, *((one + other) / 2 for one, other in zip(before, after, strict=True))))
    ratio = statistics.median(whole / sum(parts) for whole, *parts in rounds)
    return Scan(*np.median(rounds, axis=0).tolist(), ratio)


def _scanned(folder: Path, evidence: Path, *model: str) -> float:
    case = folder / "case"
    milliseconds = _mantlet(folder, "scan", str(evidence), "--case", str(case), "--workers", "1", *model)
    rmtree(case)
    return milliseconds / _SCANNED


def _mantlet(folder: Path, *arguments: str) -> float:
    return cost_of([sys.executable, "-m", "mantlet", *arguments], 1, folder).cpu


def _parts(model: Bundle, bare: Callable[[NDArray[Any]], Any], paths: Sequence[Path]) -> tuple[float, float]:
    """Milliseconds a picture of the bare runtime, and of preparing."""
    parts = []
    for some in np.array_split(np.asarray(paths), len(paths) // _AT_ONCE):  # not all tensors fit into memory
        pictures = [_decoded(each) for each in some]
        preparing, inputs = _each(lambda pixels: prepare(pixels, model.manifest.recipe)[np.newaxis], pictures)
        parts.append((_each(bare, inputs)[0], preparing))
    return tuple(np.mean(parts, axis=0).tolist())


def main() -> None:
    if sys.argv[1] == "stage":
        print(json.dumps({name: found._asdict() for name, found in stages().items()}))
        return
    adopt()
    with tempfile.TemporaryDirectory(prefix="mantlet-bench-") as folder:
        print(json.dumps(scan(Path(folder))._asdict()))


if __name__ == "__main__":
    main()
