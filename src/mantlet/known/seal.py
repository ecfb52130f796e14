"""Files of a set, sealed under a password: a list of such hashes is itself sensitive.

AES-256-GCM in chunks of 1 MiB, each bound to its file, its place and whether it is the last, so that none can be left
out, moved or cut off unseen (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated
Encryption and its Nonce-Reuse Misuse-Resistance", 2015, section 7). The key comes from the password by scrypt (RFC
7914) with n = 2^17, r = 8, p = 1, the least that OWASP's Password Storage Cheat Sheet advises.

What it protects: a lost disk, a copied folder. Not: a running machine, whose memory holds what is in use.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mantlet.errors import EvidenceError, IntegrityError, NotAllowedError, UsageError
from mantlet.settings import MIB

_CHUNK: Final = MIB
_TAG: Final = 16
_PREFIX: Final = 7  # of a nonce: random for each file; then the chunk's number, and whether it is the last
_LONGEST_PASSWORD: Final = 1024
CHECK: Final = "check"
"""The file by which a wrong password is told from a damaged set."""


def new_salt() -> str:
    return secrets.token_hex(16)


def password_of(path: Path) -> bytes:
    """The first line of a file. Raises EvidenceError where it cannot be read, UsageError where it holds none."""
    try:
        with path.open("rb") as file:
            line = file.read(_LONGEST_PASSWORD + 2).split(b"\n")[0].rstrip(b"\r")
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}; it should hold the password.") from error
    if not 0 < len(line) <= _LONGEST_PASSWORD:
        raise UsageError(f"The first line of {path} must be the password: 1 to {_LONGEST_PASSWORD:,} bytes.")
    return line


def key_of(password: bytes, salt: str) -> bytes:
    return Scrypt(salt=bytes.fromhex(salt), length=32, n=2**17, r=8, p=1).derive(password)


def write(path: Path, data: bytes | memoryview, key: bytes) -> None:
    """Writes `data` sealed; the file's own name is bound into it."""
    cipher, prefix = AESGCM(key), os.urandom(_PREFIX)
    with path.open("xb") as file:
        file.write(prefix)
        for number, last, chunk in _chunks(memoryview(data)):
            file.write(cipher.encrypt(_nonce(prefix, number, last), bytes(chunk), path.name.encode()))
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, key: bytes) -> bytearray:
    """What was written.

    Raises:
        NotAllowedError: `path` is the file CHECK, and it was sealed under another password.
        IntegrityError: any other file that is not what was written.
    """
    cipher = AESGCM(key)
    try:
        out = bytearray(max(0, path.stat().st_size - _PREFIX))
    except FileNotFoundError:
        raise IntegrityError(f"{path} is missing; import the set again.") from None
    size = 0
    with path.open("rb") as file:
        prefix = file.read(_PREFIX)
        number, chunk = 0, file.read(_CHUNK + _TAG)
        while True:
            after = file.read(_CHUNK + _TAG)
            try:
                plain = cipher.decrypt(_nonce(prefix, number, not after), chunk, path.name.encode())
            except (InvalidTag, ValueError):
                if path.name == CHECK:
                    raise NotAllowedError("The password is not the one that the set was sealed with.") from None
                raise IntegrityError(f"{path} was damaged or changed; import the set again.") from None
            out[size : size + len(plain)] = plain
            size += len(plain)
            if not after:
                del out[size:]
                return out
            number, chunk = number + 1, after


def _chunks(data: memoryview) -> Iterator[tuple[int, bool, memoryview]]:
    pieces = range(0, max(1, len(data)), _CHUNK)
    for number, start in enumerate(pieces):
        yield number, start == pieces[-1], data[start : start + _CHUNK]


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix.ljust(_PREFIX, b"\0") + number.to_bytes(4) + bytes([last])
