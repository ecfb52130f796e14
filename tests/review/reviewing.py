"""A scanned case, and `mantlet review` running on it, as the tests see them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mantlet.case import queue
from mantlet.case.case import open_case
from mantlet.governance import ledger

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
MANY = 131
OFFICER = "DC Example"
STAND_IN = ("--scheme", "stand-in")


@dataclass(frozen=True)
class Scanned:
    """`evidence`: the folder scanned; `case`: the case it went into; `sha256` of its files by name."""

    evidence: Path
    case: Path
    sha256: dict[str, str]

    def ledger(self, chain: ledger.Chain, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Who, and what, of each entry of a kind."""
        case = open_case(self.case)
        found = [each for each in ledger.entries(case.reader, chain) if each.kind == kind]
        case.close()
        return [(each.actor, json.loads(each.payload or "")) for each in found]

    def queue(self) -> list[dict[str, Any]]:
        """All of it, in its order."""
        case = open_case(self.case)
        found = queue.read(case, "", 10_000, ungraded_only=False)
        case.close()
        return found


def mantlet(home: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "mantlet", *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, "MANTLET_HOME": str(home)}, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()


class Reviewing:
    """A running `mantlet review`: the `url` it printed, and a client that is let in."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.client = httpx.Client(base_url=url.partition("/?")[0])

    def enter(self) -> Reviewing:
        assert self.client.get(self.url).status_code == 303
        return self

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, said: object) -> httpx.Response:
        return self.client.post(path, json=said, headers={"Sec-Fetch-Site": "same-origin"})

    def grade(self, sha256: str, grade: str, **seen: Any) -> httpx.Response:
        return self.post("/api/grade", {"sha256": sha256, "grade": grade, "seen": seen})

    def stop(self, number: int = signal.SIGINT) -> str:
        """What it said on standard error in all."""
        self.client.close()
        self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[1]
        assert self.process.returncode == 0, said
        return said


@contextmanager
def reviewing(case: Path, *arguments: str) -> Iterator[Reviewing]:
    command = [sys.executable, "-m", "mantlet", "review", str(case), "--as", OFFICER, "--json", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        printed = ""
        while not printed.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            printed += line
        running = Reviewing(process, json.loads(printed)["url"])
        try:
            yield running
        finally:
            if process.poll() is None:
                running.stop()


Review = Callable[..., Reviewing]
