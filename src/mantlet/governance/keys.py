"""Signing keys of people: Ed25519 (RFC 8032), kept in the user's own folder and never in a case.

A key says "who held this file signed this"; that the file was held by the person named is for the force to
ensure (file permissions, tokens). It is not a password and does not expire.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mantlet import settings
from mantlet.errors import UsageError

_LONGEST_NAME = 200  # bytes; a file name may have 255
_NAME = re.compile(r"[\w.@-][\w .@-]{0,63}")


@dataclass(frozen=True)
class Actor:
    """A named person (or unit) with the key they sign with."""

    name: str
    key: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        """The 32-byte public key as hex: what others compare."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, message: bytes) -> str:
        return self.key.sign(message).hex()


def key_file(name: str) -> Path:
    return settings.home() / "keys" / f"{name}.pem"


def user_name(name: str | None = None) -> str:
    """That name, or the logged-in user's. Raises UsageError for one that could not be a file's."""
    name = name or getpass.getuser()
    if not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST_NAME or name != " ".join(name.split()):
        raise UsageError(
            f"'{name}' cannot be an actor's name: use letters, digits, single spaces and . @ - _ (at most 64)."
        )
    return name


def actor(name: str | None = None) -> Actor:
    """The actor of that name, or the one logged in; a key is made at first use."""
    name = user_name(name)
    path = key_file(name)
    if not path.exists():
        _make(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):  # damaged, or locked by a password
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key; move it away and run `mantlet key new` again.")
    return Actor(name, key)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile(dir=path.parent) as scratch:  # mode 0600
        scratch.write(pem)
        scratch.flush()
        with contextlib.suppress(FileExistsError):
            os.link(scratch.name, path)  # atomic, and never replaces a key that another process made meanwhile


def verify(public_key: str, message: bytes, signature: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
