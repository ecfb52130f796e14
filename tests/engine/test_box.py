"""The box, tried from inside: every test of it runs in a child process, since nothing leads out again."""

from __future__ import annotations

import concurrent.futures
import ctypes
import errno
import importlib
import mmap
import multiprocessing
import os
import queue
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mantlet.engine import box

FULL = [name for name in box.PROTECTIONS if name != "file-growth"]
LINUX = sys.platform == "linux" and os.uname().machine in ("x86_64", "aarch64")
linux = pytest.mark.skipif(not LINUX, reason="the filter is for Linux on x86_64 and aarch64")
REFUSED = (errno.EPERM, errno.ENOSYS, errno.EFBIG)


def _child(
    out: Connection, setup: Callable[..., Any] | None, act: Callable[..., Any], argument: Any, boxed: bool
) -> None:
    try:
        state = setup(argument) if setup else argument
        protections = box.enter(box.Limits()) if boxed else []
        out.send((protections, act(state)))
    except BaseException as error:
        out.send(([], repr(error)))
        raise


def inside(
    act: Callable[..., Any],
    argument: Any = None,
    setup: Callable[..., Any] | None = None,
    boxed: bool = True,
) -> tuple[list[str], Any]:
    """`act(setup(argument))`, with the box entered between the two: the protections and the answer."""
    context = multiprocessing.get_context("spawn")
    back, out = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(out, setup, act, argument, boxed))
    process.start()
    out.close()
    try:
        protections, answer = back.recv()
    except EOFError:
        protections, answer = [], "no answer"
    process.join()
    assert process.exitcode == 0, answer
    return protections, answer


def _outcome(attempt: Callable[[], object]) -> int | str:
    """The error number of `attempt`, or what came of it instead."""
    try:
        return f"allowed: {attempt()!r}"
    except OSError as error:
        return error.errno or repr(error)


def _outcomes(attempts: dict[str, Callable[[], object]]) -> dict[str, int | str]:
    return {name: _outcome(attempt) for name, attempt in attempts.items()}


def _syscall(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    got: int = libc.syscall(
        ctypes.c_long(number), *(a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments)
    )
    if got < 0:
        raise OSError(ctypes.get_errno(), "")
    return got


def assert_refused(outcomes: dict[str, int | str]) -> None:
    assert {name: got for name, got in outcomes.items() if got not in REFUSED} == {}


def _nothing(state: Any) -> Any:
    return state


@linux
def test_every_protection_is_in_force_here() -> None:
    assert inside(_nothing)[0] == FULL


def _become_nobody(_: None) -> tuple[int, int]:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    return os.getuid(), os.getgid()


def _whoami(before: tuple[int, int]) -> bool:
    return before == (os.getuid(), os.getgid()) == (65534, 65534)


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_unprivileged_user_has_them_too_and_stays_who_they_are() -> None:
    assert inside(_whoami, setup=_become_nobody) == (FULL, True)


def _hog(_: None) -> tuple[int, list[str]]:
    errors = []
    for attempt in (
        lambda: np.ones(1 << 30, np.uint8),
        lambda: bytearray(1 << 30),
        lambda: b"".join([bytes(64 << 20) for _ in range(16)]),
    ):
        try:
            attempt()
        except MemoryError:
            errors.append("MemoryError")
    return int(np.ones(200_000_000, np.uint8).sum()), errors


@linux
def test_a_bomb_meets_memory_error_while_200_megabytes_work() -> None:
    assert inside(_hog)[1] == (200_000_000, ["MemoryError"] * 3)


def _escape_the_memory_limit(_: None) -> dict[str, int | str]:
    anonymous = mmap.MAP_ANONYMOUS
    return _outcomes(
        {
            "raise the limit": lambda: resource.prlimit(0, resource.RLIMIT_DATA, (1 << 40, 1 << 40)),
            "shared": lambda: mmap.mmap(-1, 1 << 30, flags=mmap.MAP_SHARED | anonymous),
            "growing down": lambda: mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | anonymous | 0x100),
            "memfd": lambda: os.memfd_create("hog"),
        }
    )


@linux
def test_the_memory_limit_has_no_way_round() -> None:
    assert_refused(inside(_escape_the_memory_limit)[1])


def _open_for_writing(folder: Path) -> tuple[Path, int]:
    return folder, os.open(folder / "kept", os.O_RDWR)


def _write(state: tuple[Path, int]) -> dict[str, int | str]:
    folder, held = state
    kept, new = folder / "kept", folder / "new"
    attempts: dict[str, Callable[[], object]] = {
        "write": lambda: kept.write_bytes(b"evil"),
        "append": lambda: kept.open("ab"),
        "update": lambda: kept.open("r+b"),
        "create": lambda: new.open("xb"),
        "create for reading": lambda: os.open(new, os.O_RDONLY | os.O_CREAT),
        "truncate on opening": lambda: os.open(kept, os.O_RDONLY | os.O_TRUNC),
        "truncate": lambda: os.truncate(kept, 0),
        "delete": kept.unlink,
        "rename": lambda: kept.rename(new),
        "replace": lambda: (folder / "other").replace(kept),
        "link": lambda: new.hardlink_to(kept),
        "symlink": lambda: new.symlink_to(kept),
        "mkdir": new.mkdir,
        "rmdir": (folder / "empty").rmdir,
        "fifo": lambda: os.mkfifo(new),
        "chmod": lambda: kept.chmod(0o777),
        "chown": lambda: os.chown(kept, 1, 1),
        "touch": lambda: os.utime(kept, (0, 0)),
        "null": lambda: os.open(os.devnull, os.O_WRONLY),
        "proc": lambda: os.open("/proc/self/comm", os.O_WRONLY),
        "open file: write": lambda: os.write(held, b"evil"),
        "open file: truncate": lambda: os.ftruncate(held, 0),
        "open file: map": lambda: mmap.mmap(held, 4),
        "open file: chmod": lambda: os.fchmod(held, 0o777),
    }
    if LINUX:
        attempts |= {
            "unnamed": lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR),
            "setxattr": lambda: os.setxattr(kept, "user.evil", b""),
            "openat2": lambda: _syscall(437, -100, bytes(kept), b"\2" + bytes(23), 24),
            "io_uring": lambda: _syscall(425, 1, bytes(120)),
            "fchmodat2": lambda: _syscall(452, -100, bytes(kept), 0o777, 0),
            "x32": lambda: _syscall(0x40000000 + 2, bytes(kept), os.O_RDWR),
            "mount": lambda: _syscall(165 if os.uname().machine == "x86_64" else 40, b"x", b"/", b"x", 0, 0),
            "unshare": lambda: _syscall(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
        }
    return _outcomes(attempts)


def _state_of(folder: Path) -> list[tuple[str, int, int, int, int, bytes]]:
    return [
        (path.name, st.st_mode, st.st_uid, st.st_nlink, st.st_mtime_ns, path.read_bytes())
        for path in sorted(folder.iterdir())
        if path.is_file()
        for st in [path.stat()]
    ]


@linux
def test_no_file_can_be_changed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"good")
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "empty").mkdir()
    before = _state_of(tmp_path)
    assert_refused(inside(_write, tmp_path, _open_for_writing)[1])
    assert _state_of(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "kept", "other"]


def _grow(state: tuple[Path, int]) -> int | str:
    return _outcome(lambda: os.write(state[1], b"evil"))


def test_an_open_file_refuses_to_grow_on_any_platform(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"")
    assert inside(_grow, tmp_path, _open_for_writing)[1] == errno.EFBIG
    assert (tmp_path / "kept").read_bytes() == b""


def _read(folder: Path) -> tuple[Any, ...]:
    path = folder / "kept"
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        pieces = bytes(mapped), os.pread(file.fileno(), 2, 1), file.seek(0, 2)
    walked = [(Path(top).name, files) for top, _, files in os.walk(folder)]
    return path.read_bytes(), pieces, walked, path.stat().st_size, path.resolve().name


def test_reading_works(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"good")
    (tmp_path / "kept").chmod(0o444)
    _, answer = inside(_read, tmp_path)
    assert answer == (b"good", (b"good", b"oo", 4), [(tmp_path.name, ["kept"])], 4, "kept")


def _connect(_: None) -> dict[str, int | str]:
    families = [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX]
    kinds = [socket.SOCK_STREAM, socket.SOCK_DGRAM]
    attempts: dict[str, Callable[[], object]] = {
        f"{family.name} {kind.name}": partial(socket.socket, family, kind) for family in families for kind in kinds
    }
    attempts["connect"] = lambda: socket.create_connection(("127.0.0.1", 9))
    attempts["pair"] = socket.socketpair
    return _outcomes(attempts)


@linux
def test_no_socket_can_be_had() -> None:
    assert_refused(inside(_connect)[1])


def _start(parent: int) -> dict[str, int | str]:
    return _outcomes(
        {
            "run": lambda: subprocess.run([sys.executable, "-V"], check=False),
            "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
            "exec": lambda: os.execv("/bin/true", ["true"]),
            "fork": os.fork,
            "signal another": lambda: os.kill(parent, 0),
            "signal all": lambda: os.kill(-1, 0),
            "ptrace": lambda: _syscall(101 if os.uname().machine == "x86_64" else 117, 16, parent, 0, 0),
            "write memory": lambda: _syscall(311 if os.uname().machine == "x86_64" else 271, parent, 0, 0, 0, 0, 0),
            "become root": lambda: os.setuid(0),
        }
    )


@linux
def test_no_program_can_be_started_and_no_other_process_reached() -> None:
    assert_refused(inside(_start, os.getpid())[1])


def _thread_from_before(path: Path) -> tuple[Path, queue.SimpleQueue[Path], queue.SimpleQueue[Any]]:
    asked: queue.SimpleQueue[Path] = queue.SimpleQueue()
    answered: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=lambda: answered.put(_outcome(asked.get().mkdir))).start()
    return path, asked, answered


def _ask_the_thread(state: tuple[Path, queue.SimpleQueue[Path], queue.SimpleQueue[Any]]) -> Any:
    path, asked, answered = state
    asked.put(path)
    return answered.get()


@linux
def test_a_thread_started_before_is_in_the_box_too(tmp_path: Path) -> None:
    assert inside(_ask_the_thread, tmp_path / "new", _thread_from_before) == (FULL, errno.EPERM)


def _run_on(_: None) -> tuple[Any, ...]:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda n: sum(range(n)), [10, 100, 1000]))
    left, right = os.pipe()
    os.write(right, b"pipe")
    one, two = multiprocessing.get_context("spawn").Pipe(duplex=False)
    two.send({"picture": bytes(1000)})
    received = one.recv()
    signals: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: signals.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    matrix = np.arange(90_000.0).reshape(300, 300)
    trace = float(np.trace(matrix @ np.linalg.inv(np.eye(300) * 2)))
    return sums, os.read(left, 4), received["picture"] == bytes(1000), len(signals), trace


def test_threads_pipes_signals_and_numpy_work() -> None:
    assert inside(_run_on)[1] == ([45, 4950, 499500], b"pipe", True, 2, 6_749_925.0)


KERNEL = """
import numba


@numba.njit("int64(int64)", cache=True)
def squares(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


@numba.njit(cache=True, parallel=True)
def doubled(values):
    out = values.copy()
    for i in numba.prange(len(values)):
        out[i] *= 2
    return out
"""


def _load(folder: Path) -> Any:
    sys.path.insert(0, str(folder))
    return importlib.import_module("kernels_tried_in_the_box")


def _use(module: Any) -> tuple[int, int, int]:
    doubled = int(module.doubled(np.arange(1000)).sum())
    return module.squares(10), doubled, sum(module.doubled.stats.cache_hits.values())


def test_kernels_of_numba_come_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "kernels_tried_in_the_box.py").write_text(KERNEL)
    assert inside(_use, tmp_path, _load, boxed=False)[1] == (285, 999_000, 0)
    assert inside(_use, tmp_path, _load)[1] == (285, 999_000, 1)


def _import_decoders(folder: Path) -> Path:
    for name in ("av", "simplejpeg"):
        importlib.import_module(name)
    Image.init()
    return folder


def _decode(folder: Path) -> tuple[Any, ...]:
    import av
    import simplejpeg

    with Image.open(folder / "picture.jpg") as picture:
        first = picture.convert("RGB").resize((8, 8)).getpixel((3, 3))
    shape = simplejpeg.decode_jpeg((folder / "picture.jpg").read_bytes()).shape
    with av.open(str(folder / "film.avi")) as film:
        film.streams.video[0].thread_type = "AUTO"
        frames = [frame.to_ndarray(format="rgb24").shape for frame in film.decode(video=0)]
    return first, shape, len(frames), frames[0]


def test_pictures_and_films_decode(tmp_path: Path) -> None:
    import av

    Image.new("RGB", (640, 480), (255, 0, 0)).save(tmp_path / "picture.jpg", quality=95)
    with av.open(str(tmp_path / "film.avi"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(10):
            picture = np.full((48, 64, 3), shade * 20, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())
    first, *others = inside(_decode, tmp_path, _import_decoders)[1]
    assert first[0] > 250
    assert first[1:] < (5, 5)
    assert others == [(480, 640, 3), 10, (48, 64, 3)]


def _lack(what: str) -> None:
    """Make this process one whose platform lacks `what`."""

    def refuse(*_: object) -> None:
        raise ValueError

    def absent(_: object) -> ctypes.CDLL:
        raise OSError

    if what == "Linux":
        sys.platform = "darwin"
    elif what == "a known machine":
        os.uname = lambda: os.uname_result(("Linux", "host", "6.1", "#1", "riscv64"))  # type: ignore[assignment]
    elif what == "seccomp":
        real = box._kernel
        box._kernel = lambda name, *arguments: name == "prctl" and real(name, *arguments)
    elif what == "libc":
        ctypes.CDLL = absent  # type: ignore[misc,assignment]
    else:
        resource.setrlimit = refuse  # type: ignore[assignment]


@linux
@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("Linux", ["memory", "file-growth", "core"]),
        ("a known machine", ["memory", "file-growth", "core"]),
        ("seccomp", ["memory", "file-growth", "core"]),
        ("libc", ["memory", "file-growth"]),
        ("limits", ["network", "programs", "privileges"]),
    ],
)
def test_what_a_platform_lacks_is_left_out(what: str, left: list[str]) -> None:
    assert inside(_nothing, what, _lack)[0] == left


def _low(_: None) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 700 << 20))


def _limit(_: None) -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_DATA)


@linux
def test_a_lower_limit_is_kept() -> None:
    protections, answer = inside(_limit, setup=_low)
    assert protections == FULL
    assert answer == (600 << 20, 600 << 20)


def _verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str:
    """What the filter answers to a call, by running it as the kernel would (linux/filter.h)."""
    program = box._program(machine, 77)
    padded = (*arguments, *([0] * (6 - len(arguments))))
    own = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    words = {0: number, 4: own if architecture is None else architecture}
    for i, argument in enumerate(padded):
        words[16 + 8 * i], words[20 + 8 * i] = argument & 0xFFFFFFFF, argument >> 32
    at = accumulator = 0
    while True:
        code, true, false, constant = program[at]
        at += 1
        if code == 0x20:
            accumulator = words[constant]
        elif code == 0x54:
            accumulator &= constant
        elif code in (0x15, 0x35):
            at += true if (accumulator == constant if code == 0x15 else accumulator >= constant) else false
        else:
            assert code == 0x06
            return {0x7FFF0000: "allow", 0x80000000: "kill", 0x50001: "EPERM", 0x50026: "ENOSYS"}[constant]


@pytest.mark.parametrize(
    ("call", "arguments", "verdict"),
    [
        ((0, 63), (3, 0, 10), "allow"),  # read
        ((257, 56), (0, 0, 0o2000000), "allow"),  # openat, O_RDONLY | O_CLOEXEC
        ((257, 56), (0, 0, os.O_WRONLY), "EPERM"),
        ((257, 56), (0, 0, os.O_RDWR), "EPERM"),
        ((257, 56), (0, 0, 3), "EPERM"),
        ((257, 56), (0, 0, 0o100), "EPERM"),  # O_CREAT
        ((257, 56), (0, 0, 0o1000), "EPERM"),  # O_TRUNC
        ((9, 222), (0, 4096, 3, 0x22), "allow"),  # mmap, MAP_PRIVATE | MAP_ANONYMOUS
        ((9, 222), (0, 4096, 1, 0x1), "EPERM"),
        ((9, 222), (0, 4096, 1, 0x3), "EPERM"),  # MAP_SHARED_VALIDATE
        ((56, 220), (0x3D0F00,), "allow"),  # clone, as glibc starts a thread
        ((56, 220), (0x1200011,), "EPERM"),  # as it forks
        ((56, 220), (0x103D0F00,), "EPERM"),  # CLONE_NEWUSER
        ((16, 29), (0, 0x5401), "allow"),  # ioctl, TCGETS
        ((16, 29), (0, 0x5412), "EPERM"),  # TIOCSTI
        ((16, 29), (0, 0x2285), "EPERM"),  # SG_IO
        ((72, 25), (0, 8, 1), "EPERM"),  # fcntl, F_SETOWN
        ((62, 129), (77, 9), "allow"),  # kill
        ((62, 129), (78, 9), "EPERM"),
        ((62, 129), (-1 & 0xFFFFFFFF, 9), "EPERM"),
        ((302, 261), (0, 2, 0, 1 << 40), "allow"),  # prlimit64
        ((302, 261), (0, 2, 0x1000), "EPERM"),
        ((302, 261), (0, 2, 1 << 32), "EPERM"),
        ((41, 198), (1, 1, 0), "EPERM"),  # socket
        ((59, 221), (), "EPERM"),  # execve
        ((435, 435), (), "ENOSYS"),  # clone3
        ((437, 437), (), "ENOSYS"),  # openat2
        ((425, 425), (), "ENOSYS"),  # io_uring_setup
        ((0x40000000, 0x40000000), (), "ENOSYS"),  # read, by its x32 number
        ((0xFFFFFFFF, 0xFFFFFFFF), (), "ENOSYS"),
    ],
)
def test_the_filter_answers_alike_on_both_machines(
    call: tuple[int, int], arguments: tuple[int, ...], verdict: str
) -> None:
    assert [_verdict(machine, n, *arguments) for machine, n in zip(box._MACHINES, call, strict=True)] == [verdict] * 2


@pytest.mark.parametrize(("machine", "foreign"), [("x86_64", 0x40000003), ("aarch64", 0x40000028)])
def test_a_call_by_another_architecture_kills(machine: str, foreign: int) -> None:
    assert _verdict(machine, 0, architecture=foreign) == "kill"


@pytest.mark.parametrize(("column", "header"), [(0, "x86_64-linux-gnu/asm/unistd_64.h"), (1, "asm-generic/unistd.h")])
def test_the_numbers_are_those_of_the_kernel(column: int, header: str) -> None:
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip(f"no {path} here")
    numbers = dict(re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text(), re.MULTILINE))
    if column == 1:
        numbers["newfstatat"] = numbers["fstatat"]
    calls = [call.split() for call in box._CALLS.split(",")]
    assert {name: found[column] for name, *found in calls if found[column] != "-"} == {
        name: numbers[name] for name, *found in calls if found[column] != "-"
    }
    assert {name for name, *found in calls if found[column] == "-"}.isdisjoint(numbers if column else ())
