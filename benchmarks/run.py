"""Measures Mantlet against peers, each pair in one run on one machine, and writes benchmarks/results/latest.json.

A figure is CPU time of everything that a command starts: it decides how long a machine is busy, and it stays steadier
than wall time on a machine that does other things too. Linux only.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks import pictures, reading, running
from benchmarks.cost import Cost, adopt, cost_of

ROUNDS: Final = 3
WORKERS: Final = 2
RESULTS: Final = Path(__file__).parent / "results" / "latest.json"
PEER: Final = "open, three hashes, full Pillow decode, pdqhash"


class Comparison(NamedTuple):
    """`count` pictures of one size are scanned and looked up, in eight forms, in a set of a million records. The plain
    path, whose cost grows evenly, takes the first `peer_count`, and is to cost `goal` times as much a picture."""

    name: str
    width: int
    height: int
    count: int
    peer_count: int
    goal: float


COMPARISONS: Final = (
    Comparison("scan, 12 megapixels", 4000, 3000, 960, 60, 15),
    Comparison("scan, 0.3 megapixels", 672, 448, 3000, 1500, 2.5),
)
RECORDS: Final = 1_000_000


class Asking(NamedTuple):
    """Look-ups among `count` hashes of a `kind` (`benchmarks.known`), by us and by a `peer`, which gets fewer."""

    kind: str
    count: int
    peer: str
    ours_asked: int
    peer_asked: int
    goal: float | None = None


ASKING: Final = (
    Asking("random", 1_000_000, "faiss", 10_000, 500, 5000),
    Asking("random", 1_000_000, "threatexchange", 10_000, 2000, 5000),
    Asking("real", 1_000_000, "threatexchange", 10_000, 2000),
    Asking("random", 10_000_000, "faiss", 5000, 60, 3000),
    Asking("real", 10_000_000, "faiss", 5000, 60),
)
PEERS: Final = {"faiss": "faiss.IndexBinaryFlat, batches of 32", "threatexchange": "threatexchange PDQIndex"}
NEAREST: Final = {"faiss": "faiss.IndexFlatIP, float32 in memory", "numpy": "numpy, float32 in memory"}
EMBEDDINGS: Final = (200_000, 1280)
EMBEDDINGS_ASKED: Final = 30


def main() -> None:
    adopt()
    with tempfile.TemporaryDirectory(prefix="mantlet-bench-") as folder:
        _import(Path(folder))
        results = [_compare(each, Path(folder)) for each in COMPARISONS]
        results += [_compare_asking(each) for each in ASKING]
        results.append(_compare_stacking(Path(folder)))
        results += _compare_reading(Path(folder))
        results += [_compare_nearest(peer) for peer in NEAREST]
        results += _compare_running()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nWritten to {RESULTS}.")


def _compare(comparison: Comparison, folder: Path) -> dict[str, Any]:
    name, count, peer_count = comparison.name, comparison.count, comparison.peer_count
    result: dict[str, Any] = {"name": name, "peer_name": PEER, "unit": "ms CPU a picture", "machine": _machine()}
    if importlib.util.find_spec("pdqhash") is None:
        print(f"{name}: left out, since pdqhash is not installed; `make bench` installs it.")
        return {**result, "ours": None, "peer": None, "ratio": None, "skipped": "pdqhash is not installed"}
    evidence = pictures.fill(folder / name, count, comparison.width, comparison.height)
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    _scan(empty, count, folder)  # what is compiled then is kept
    size = statistics.mean(path.stat().st_size for path in evidence.iterdir())
    print(f"{name}: {count} pictures of {size / 1e6:.2f} MB, ms CPU a picture")
    ours, peer = list[Cost](), list[Cost]()
    for number in range(1, ROUNDS + 1):
        ours.append(_scan(evidence, count, folder))
        plain = [sys.executable, "-m", "benchmarks.plain", str(evidence), str(peer_count)]
        peer.append(cost_of(plain, peer_count, folder))
        print(f"  round {number}   ours {ours[-1].cpu:7.2f}   plain {peer[-1].cpu:7.2f}")
    start = _scan(empty, count, folder)
    shutil.rmtree(evidence)
    mine, theirs = (statistics.median(cost.cpu for cost in costs) for costs in (ours, peer))
    print(f"  median    ours {mine:7.2f}   plain {theirs:7.2f}   ratio {theirs / mine:.1f}, goal {comparison.goal:g}")
    return {
        **result,
        "ours": round(mine, 3),
        "peer": round(theirs, 3),
        "ratio": round(theirs / mine, 2),
        "goal": comparison.goal,
        "pictures": count,
        "mean_bytes": round(size),
        "rounds": ROUNDS,
        "ours_start_up": round(start.cpu, 3),
        "ours_wall": round(statistics.median(cost.wall for cost in ours), 3),
        "peer_wall": round(statistics.median(cost.wall for cost in peer), 3),
    }


def _import(folder: Path) -> None:
    """A set of random MD5 and PDQ, in force for every scan."""
    source, path = np.random.default_rng(3), folder / "known.csv"
    with path.open("w") as file:
        file.write("md5,pdq\n")
        for _ in range(RECORDS):
            value = source.bytes(48).hex()
            file.write(f"{value[:32]},{value[32:]}\n")
    command = [sys.executable, "-m", "mantlet", "known", "import", str(path), "--name", "million"]
    print(
        f"import of {RECORDS:,} records (md5, pdq): {cost_of(command, 1, folder).cpu / 1000:.1f} s CPU, tables included"
    )


def _compare_asking(asking: Asking) -> dict[str, Any]:
    """Queries a second, one core, found exactly; the kinds of both are the same, and so is what is found."""
    name = f"PDQ look-up, {asking.count:,} {asking.kind} hashes"
    result: dict[str, Any] = {"name": name, "peer_name": PEERS[asking.peer], "unit": "queries a second"}
    module = {"faiss": "faiss", "threatexchange": "threatexchange"}[asking.peer]
    if importlib.util.find_spec(module) is None:
        print(f"{name}: left out, since {module} is not installed; `make bench` installs it.")
        return {**result, "ours": None, "peer": None, "ratio": None, "skipped": f"{module} is not installed"}
    mine, theirs = _asked("ours", asking, asking.ours_asked), _asked(asking.peer, asking, asking.peer_asked)
    goal = f", goal {asking.goal:,.0f}" if asking.goal else ""
    print(f"{name}: ours {mine:,.0f}{goal}, {asking.peer} {theirs:,.0f} a second (ratio {mine / theirs:.1f})")
    figures = {"ours": round(mine), "peer": round(theirs), "ratio": round(mine / theirs, 2), "goal": asking.goal}
    return {**result, **figures, "machine": _machine()}


def _compare_stacking(folder: Path) -> dict[str, Any]:
    """Groups of look-alikes among 10,000 hashes, the start of Python included on both sides."""
    name, goal = "stacks of 10,000 pictures", 2
    mine, theirs = (
        statistics.median(
            cost_of([sys.executable, "-m", "benchmarks.stacking", way], 1, folder).cpu / 1000 for _ in "123"
        )
        for way in ("ours", "numpy")
    )
    print(f"{name}: ours {mine:.2f}, numpy {theirs:.2f} s CPU, at most {goal} (ratio {theirs / mine:.1f})")
    result = {"name": name, "peer_name": "numpy, each hash against the rest", "unit": "s CPU", "machine": _machine()}
    return {**result, "ours": round(mine, 3), "peer": round(theirs, 3), "ratio": round(theirs / mine, 2), "goal": goal}


def _asked(index: str, asking: Asking, queries: int) -> float:
    command = ["-m", "benchmarks.known", index, asking.kind, str(asking.count), str(queries)]
    done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    rate, _ = done.stdout.split()
    return float(rate)


def _compare_reading(folder: Path) -> list[dict[str, Any]]:
    """Walk and read alone, the start of Python left out by reading an empty folder first."""
    names = {"walk and read, raw": ("disk.dd", 3.0), "walk and read, E01": ("disk.E01", 7.5)}
    common = {"peer_name": "tsk_recover -e, files written", "unit": "s CPU a GB of medium", "machine": _machine()}
    if lacks := reading.missing():
        print(f"walk and read: left out, since {', '.join(lacks)} is not installed.")
        why = f"not installed: {', '.join(lacks)}"
        return [{"name": name, **common, "ours": None, "peer": None, "ratio": None, "skipped": why} for name in names]
    reading.disk(folder)
    results, gigabytes = [], reading.SIZE / 1e9
    start = min(
        cost_of([sys.executable, "-m", "benchmarks.reading", str(folder / "empty")], 1, folder).cpu for _ in "12"
    )
    for name, (file, goal) in names.items():
        ours, peer = list[float](), list[float]()
        for _ in range(ROUNDS):
            cost = cost_of([sys.executable, "-m", "benchmarks.reading", str(folder / file)], 1, folder).cpu
            ours.append((cost - start) / 1000 / gigabytes)
            command = ["tsk_recover", "-e", str(folder / file), str(folder / "recovered")]
            peer.append(cost_of(command, 1, folder).cpu / 1000 / gigabytes)
            shutil.rmtree(folder / "recovered")
        mine, theirs = statistics.median(ours), statistics.median(peer)
        print(
            f"{name}: ours {mine:.2f}, tsk_recover {theirs:.2f} s CPU a GB, at most {goal} (ratio {theirs / mine:.1f})"
        )
        figures = {"ours": round(mine, 3), "peer": round(theirs, 3), "ratio": round(theirs / mine, 2), "goal": goal}
        results.append({"name": name, **common, **figures, "rounds": ROUNDS})
    return results


def _compare_nearest(peer: str) -> dict[str, Any]:
    """Look-ups of the 100 nearest embeddings a second of processor time, one at a time. Raises RuntimeError where the
    nearest of all are others."""
    count, width = EMBEDDINGS
    name = f"look-alikes, {count:,} embeddings of {width} numbers"
    result: dict[str, Any] = {"name": name, "peer_name": NEAREST[peer], "unit": "queries a CPU second"}
    if importlib.util.find_spec(peer) is None:
        print(f"{name}: left out, since {peer} is not installed; `make bench` installs it.")
        return {**result, "ours": None, "peer": None, "ratio": None, "skipped": f"{peer} is not installed"}
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = []
    for index in ("ours", peer):
        command = [sys.executable, "-m", "benchmarks.recognition", index, *map(str, (count, width, EMBEDDINGS_ASKED))]
        done = subprocess.run(command, env=one_thread, check=True, capture_output=True, text=True)
        told.append(done.stdout.split())
    if told[0][1] != told[1][1]:
        raise RuntimeError(f"{name}: {peer} finds others")
    mine, theirs = (float(rate) for rate, _ in told)
    print(f"{name}: ours {mine:.1f}, {peer} {theirs:.1f} a CPU second (ratio {mine / theirs:.2f})")
    figures = {"ours": round(mine, 2), "peer": round(theirs, 2), "ratio": round(mine / theirs, 2)}
    return {**result, **figures, "machine": _machine()}


def _compare_running() -> list[dict[str, Any]]:
    """A model's stage against the bare runtime, and a scan with a model against the sum of its parts."""
    bare, parts = "ONNX Runtime alone, prepared tensors", "the scan without a model, ONNX Runtime alone, preparing"
    if why := running.missing():
        print(f"recognition: left out: {why}.")
        skipped = {"ours": None, "peer": None, "ratio": None, "skipped": why}
        return [
            {"name": name, "peer_name": peer, **skipped}
            for name, peer in (("recognition stage", bare), ("scan with a model", parts))
        ]
    results = []
    for fed, each in running.measured("stage").items():
        name = f"recognition stage, MobileNetV2, {fed}"
        print(f"{name}: ours {each['ours']:.1f}, bare {each['bare']:.1f} a CPU second (ratio {each['ratio']:.2f})")
        figures = {"ours": round(each["ours"], 1), "peer": round(each["bare"], 1), "ratio": round(each["ratio"], 3)}
        results.append({"name": name, "peer_name": bare, "unit": "pictures a CPU second", **figures, "goal": 0.9})
    whole = running.Scan(**running.measured("scan"))
    total = whole.without + whole.bare + whole.prepared
    print(f"scan with MobileNetV2: {whole.whole:.2f}, parts {total:.2f} ms CPU a picture (ratio {1 / whole.ratio:.2f})")
    figures = {"ours": round(whole.whole, 3), "peer": round(total, 3), "ratio": round(1 / whole.ratio, 3)}
    results.append(
        {
            "name": "scan with a model",
            "peer_name": parts,
            "unit": "ms CPU a picture",
            **figures,
            "goal": round(1 / 1.1, 3),
        }
    )
    return [{**each, "machine": _machine()} for each in results]


def _scan(evidence: Path, count: int, folder: Path) -> Cost:
    case = folder / "case"
    command = ["mantlet", "scan", str(evidence), "--case", str(case), "--workers", str(WORKERS)]
    cost = cost_of([sys.executable, "-m", *command], count, folder)
    shutil.rmtree(case)
    return cost


def _machine() -> dict[str, Any]:
    packages = ("mantlet", "pillow", "numpy", "numba", "simplejpeg")
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
