"""The box that a worker enters before it touches hostile bytes: from then on it can only read, think, answer.

What the platform cannot hold is left out of the answer of `enter`; nearly all that it names was tried first.
One mechanism does most: a seccomp filter (seccomp(2); kernel Documentation/userspace-api/seccomp_filter) that
lists the system calls a reading worker needs and refuses all others, io_uring, x32 and future ones with them.
Landlock is missing from many kernels, holds no UDP, and knows nothing of chmod, utime or signals. A network
namespace needs root or a user namespace: often switched off, refused to a process with threads, and files
then show other owners. The filter needs no right, changes no identity (a disk readable by group "disk" stays
so) and takes in threads that libraries started earlier. Linux on x86_64 and aarch64 only.

Limits. What was open before `enter` stays usable: pipes and Connections (the way out), sockets (so start
workers by spawn or forkserver), shared mappings, a disk open for writing. Regular files then refuse writes:
standard error sent to one goes silent. All that the user may read stays readable, which may move access
times: write-block exhibits by other means. Files map with MAP_PRIVATE only; SQLite needs immutable=1. A
worker's time is the caller's to limit; faults of the kernel itself are out of reach.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

PROTECTIONS: Final = ("memory", "files", "file-growth", "network", "programs", "privileges", "core")

# Allowed, by number on x86_64 and aarch64 (kernel syscall_64.tbl; include/uapi/asm-generic/unistd.h).
_CALLS: Final = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, preadv 295 69, lseek 8 62, close 3 57,
open 2 -, openat 257 56, stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, statfs 137 43,
fstatfs 138 44, access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78,
getdents64 217 61, getcwd 79 17, fadvise64 221 223, fcntl 72 25, ioctl 16 29, dup 32 23, dup2 33 -,
dup3 292 24, pipe 22 -, pipe2 293 59, poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, mmap 9 222,
munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233, brk 12 214, clone 56 220, futex 202 98,
set_robust_list 273 99, rseq 334 293, set_tid_address 218 96, sched_yield 24 124, sched_getaffinity 204 123,
getcpu 309 168, membarrier 324 283, exit 60 93, exit_group 231 94, wait4 61 260, rt_sigaction 13 134,
rt_sigprocmask 14 135, rt_sigreturn 15 139, sigaltstack 131 132, restart_syscall 219 128, kill 62 129,
tgkill 234 131, setitimer 38 103, clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115,
nanosleep 35 101, gettimeofday 96 169, time 201 -, getrusage 98 165, getpid 39 172, gettid 186 178,
getppid 110 173, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getrandom 318 278,
uname 63 160, sysinfo 99 179, getrlimit 97 163, prlimit64 302 261, prctl 157 167"""
_MACHINES: Final = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}  # AUDIT_ARCH_, seccomp
_ALL, _ALLOW, _KILL, _EPERM, _ENOSYS = 0xFFFFFFFF, 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_LOAD, _AND, _EQUAL, _LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # classic BPF, linux/bpf_common.h
# TCGETS TCGETS2 TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX BLKGETSIZE BLKSSZGET BLKGETSIZE64; not TIOCSTI
# (types into the user's terminal) nor SG_IO (by it, root writes to a disk opened for reading).
_IOCTLS = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x1260, 0x1268, 0x80081272)


class Limits(msgspec.Struct, frozen=True):
    """What a boxed worker may take. `memory`: bytes beyond those that it has mapped on entering."""

    memory: int = 768 << 20


def _program(machine: str, pid: int) -> list[tuple[int, int, int, int]]:
    """The filter. A foreign architecture kills. Refused calls fail with EPERM; those from 424 on (clone3,
    openat2, io_uring, all later, x32) with ENOSYS, so that libc falls back on older ones."""
    reading = (0o1103, (0,))  # O_ACCMODE, O_CREAT and O_TRUNC all clear; O_TMPFILE needs one of O_ACCMODE
    checks: dict[str, list[tuple[int, int, tuple[int, ...]]]] = {
        "open": [(2, *reading)],
        "openat": [(4, *reading)],
        "mmap": [(6, 0x101, (0,))],  # no MAP_SHARED, MAP_GROWSDOWN, which pass RLIMIT_FSIZE and RLIMIT_DATA
        "clone": [(0, 0x7E030000, (0x10000,))],  # CLONE_THREAD and no CLONE_NEW...: threads, not processes
        "fcntl": [(2, _ALL, (0, 1, 2, 3, 4, 1030))],  # no F_SETOWN and F_SETSIG, which signal other processes
        "ioctl": [(2, _ALL, _IOCTLS)],
        **{name: [(0, _ALL, (pid,))] for name in ("kill", "tgkill")},
        "prctl": [(0, _ALL, (15, 16))],  # PR_SET_NAME, PR_GET_NAME: names of threads
        "prlimit64": [(4, _ALL, (0,)), (5, _ALL, (0,))],  # new limit NULL: asking only
    }
    column, architecture, _ = _MACHINES[machine]
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for name, *numbers in map(str.split, _CALLS.split(",")):
        if numbers[column] != "-":
            body = []
            for word, mask, values in checks.get(name, ()):  # a 32-bit word of the arguments
                body += [(_LOAD, 0, 0, 16 + 4 * word), (_AND, 0, 0, mask)]
                found = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
                body += [*found, (_RETURN, 0, 0, _EPERM)]
            code += [(_EQUAL, 0, len(body) + 1, int(numbers[column])), *body, (_RETURN, 0, 0, _ALLOW)]
    return [*code, (_LEAST, 0, 1, 424), (_RETURN, 0, 0, _ENOSYS), (_RETURN, 0, 0, _EPERM)]


def _kernel(function: str, *arguments: int) -> bool:
    """Call a function of libc whose arguments are all long; whether it answered 0."""
    with suppress(OSError, AttributeError):
        return bool(getattr(ctypes.CDLL(None), function)(*map(ctypes.c_ulong, arguments)) == 0)
    return False


def _filter() -> bool:
    """Put the filter over all threads of this process, after PR_SET_NO_NEW_PRIVS, which it needs."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in _MACHINES or struct.calcsize("P") != 8:
        return False
    lines = [struct.pack("=HBBI", *line) for line in _program(machine, os.getpid())]
    code = ctypes.create_string_buffer(b"".join(lines))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))  # sock_fprog
    filtered = (_MACHINES[machine][2], 1, 1, ctypes.addressof(head))  # SECCOMP_SET_MODE_FILTER, TSYNC
    return _kernel("prctl", 38, 1, 0, 0, 0) and _kernel("syscall", *filtered)


def _cap(limit: int, value: int) -> bool:
    """Set a limit, soft and hard, at `value`, or leave it where it stood lower (setrlimit(2))."""
    with suppress(OSError, ValueError):
        value = min(value, *(v if v != resource.RLIM_INFINITY else value for v in resource.getrlimit(limit)))
        resource.setrlimit(limit, (value, value))
        return True
    return False


def _refused(attempt: Callable[..., object], *arguments: object, code: int = errno.EPERM) -> bool:
    """Whether the kernel refuses `attempt` with `code`, tried for real."""
    try:
        attempt(*arguments)
    except OSError as error:
        return error.errno == code
    return False


def enter(limits: Limits) -> list[str]:
    """Enter the box, for good; call it once. Answers those of PROTECTIONS now in force, in that order.

    memory: RLIMIT_DATA (setrlimit(2)); bombs meet MemoryError. It counts what is mapped, touched or not, so
      what stands already (stacks of library threads, for each core) is added. Not on macOS.
    files: the filter refuses to create, open for writing, delete, rename, truncate, chmod and the like;
      RLIMIT_FSIZE = 0 refuses writes to regular files already open, and alone is "file-growth".
    network: no socket of any family: neither TCP nor UDP, nor D-Bus, nor a container's control socket.
    programs: no execve, no fork; no signal to, ptrace of or memory of another process.
    privileges: PR_SET_NO_NEW_PRIVS (prctl(2)); no setuid, mount, bpf, module or namespace call.
    core: no crash dump; PR_SET_DUMPABLE too, since a core piped to a program heeds no RLIMIT_CORE (core(5)).
    """
    with suppress(ValueError):  # off the main thread; Python ignores SIGXFSZ from its start anyway
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    memory, statm = limits.memory, Path("/proc/self/statm")
    if statm.exists():  # field 6: data and stack, in pages (proc_pid_statm(5))
        memory += int(statm.read_text().split()[5]) * mmap.PAGESIZE
    growth, data = _cap(resource.RLIMIT_FSIZE, 0), _cap(resource.RLIMIT_DATA, memory)
    core = _cap(resource.RLIMIT_CORE, 0) and (sys.platform != "linux" or _kernel("prctl", 4, 0, 0, 0, 0))
    hog = (mmap.mmap, -1, memory, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held = {"core": core, "memory": data and _refused(*hog, code=errno.ENOMEM), "privileges": _filter()}
    if held["privileges"]:
        deleting, inet = Path("/proc/-").unlink, (socket.AF_INET, socket.AF_INET6)
        kinds = [(family, kind) for family in inet for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        held["files"] = growth and _refused(os.open, os.devnull, os.O_WRONLY) and _refused(deleting)
        held["network"] = all(_refused(lambda *kind: socket.socket(*kind).close(), *kind) for kind in kinds)
        held["programs"] = _refused(os.execv, "", ["-"])  # ENOENT, were it allowed
    held["file-growth"] = growth and not held.get("files")
    return [name for name in PROTECTIONS if held.get(name)]
