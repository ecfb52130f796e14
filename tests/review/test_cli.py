"""`mantlet review` as a command: what it prints, where it listens, how it ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from reviewing import OFFICER, STAND_IN, Review, Scanned, reviewing


def test_it_prints_an_address_that_works_once(scanned: Scanned, review: Review) -> None:
    running = review(scanned.case).enter()
    page = running.client.get("/")
    assert page.status_code == 200
    assert f"<b>{OFFICER}</b>" in page.text
    assert "server" not in page.headers
    assert httpx.get(running.url).status_code == 403
    stranger = httpx.get(running.client.base_url, headers={"Accept": "text/html"})
    assert "mantlet review" in stranger.text


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@linux
def test_it_listens_on_this_machine_only(scanned: Scanned, review: Review) -> None:
    port = httpx.URL(review(scanned.case).url).port
    listening = {
        bytes.fromhex(line.split()[1].partition(":")[0])[::-1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    assert listening == {bytes([127, 0, 0, 1])}


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_and_leaves_no_process(scanned: Scanned, number: int) -> None:
    with reviewing(scanned.case, *STAND_IN) as running:
        running.enter().grade(scanned.sha256["kite.jpg"], "other")
        running.client.get(f"/api/look/{scanned.sha256['kite.jpg']}")
        family = [os.pidfd_open(each) for each in _family(running.process.pid)]
        assert len(family) >= 3, "itself, and a worker each for tiles and for looks"
        assert "Graded: 1 of 8 distinct." in running.stop(number)
        for each in family:
            assert select.select([each], [], [], 10)[0], "a process of it is still there"
            os.close(each)


def _family(pid: int) -> list[int]:
    """A process and all that it started, from /proc."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(each for child in children for each in _family(child))]


def test_neither_token_nor_addresses_are_logged(scanned: Scanned) -> None:
    with reviewing(scanned.case) as running:
        running.enter().client.get("/api/tile/nothing")
        said = running.stop()
    log = (scanned.case / "mantlet.log").read_text()
    token = running.url.rpartition("=")[2]
    assert token not in said + log
    assert "/api/" not in said + log


def test_a_case_keeps_the_scheme_of_its_grades(scanned: Scanned, run: Callable[..., Any]) -> None:
    with reviewing(scanned.case, *STAND_IN) as running:
        running.enter().grade(scanned.sha256["kite.jpg"], "other")
        running.stop()
    refused = run("review", scanned.case, "--scheme", "england-wales", code=2)
    assert "graded by the scheme stand-in" in refused.err
    with reviewing(scanned.case) as running:
        assert "Other object" in running.enter().client.get("/").text
        assert "of the scheme stand-in, so that is used" in running.stop()


def test_wrong_use_is_told_in_a_sentence(scanned: Scanned, run: Callable[..., Any], tmp_path: Path) -> None:
    assert "There is no category scheme 'x'" in run("review", scanned.case, "--scheme", "x", code=2).err
    assert "There is no case" in run("review", tmp_path / "none", code=3).err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be used" in run("review", scanned.case, "--port", port, code=2).err
