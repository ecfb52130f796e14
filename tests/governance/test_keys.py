"""Signing keys: one for a name, kept privately outside every case."""

from __future__ import annotations

import multiprocessing
import stat
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from mantlet.case.case import create_or_open
from mantlet.errors import UsageError
from mantlet.governance import keys


def test_a_key_is_made_once(home: Path) -> None:
    first = keys.actor("DC Example")
    made = keys.key_file("DC Example").read_bytes()
    assert keys.actor("DC Example").public_key == first.public_key
    assert keys.key_file("DC Example").read_bytes() == made
    assert keys.actor("DC Other").public_key != first.public_key


def test_only_its_owner_reads_a_key(home: Path) -> None:
    keys.actor("x")
    file = keys.key_file("x")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file], "nothing is left of making it"


def test_a_key_is_never_inside_a_case(home: Path, tmp_path: Path) -> None:
    actor = keys.actor("DC Example")
    case = create_or_open(tmp_path / "case", actor)
    case.close()
    secret = actor.key.private_bytes_raw()
    assert keys.key_file("DC Example").is_relative_to(home)
    for file in (tmp_path / "case").iterdir():
        data = file.read_bytes()
        assert b"PRIVATE" not in data
        assert secret not in data
        assert secret.hex().encode() not in data


def public_key(name: str) -> str:
    return keys.actor(name).public_key


def test_threads_that_need_a_key_at_once_get_the_same(home: Path) -> None:
    barrier = threading.Barrier(8)

    def use(_: int) -> str:
        barrier.wait()
        return public_key("x")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(8)))) == 1


def test_processes_that_need_a_key_at_once_get_the_same(home: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        assert len(set(pool.map(public_key, ["x"] * 8))) == 1


@pytest.mark.parametrize(
    "name", ["/", "a/b", "../x", "/etc/passwd", "a\nb", "a\0b", " x", "x;y", "x\u202ey", "a\\b", "x" * 65, "\ud800"]
)
def test_a_name_that_could_not_be_a_files_is_refused(name: str, home: Path) -> None:
    with pytest.raises(UsageError, match="cannot be an actor's name"):
        keys.actor(name)
    assert not (home / "keys").exists()


@pytest.mark.parametrize("name", ["x", "DC Example", "dc.example@force.uk", "Ünsal_1-a", "..", "-", "x" * 64])
def test_a_persons_name_is_a_file_in_the_folder_of_keys(name: str, home: Path) -> None:
    keys.actor(name)
    assert [file.name for file in (home / "keys").iterdir()] == [f"{name}.pem"]


def test_no_name_is_the_logged_in_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jane")
    assert keys.actor().name == "jane"
    assert keys.user_name("") == "jane"


def pem(key: Ed25519PrivateKey | X25519PrivateKey, how: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        pem(X25519PrivateKey.generate(), NoEncryption()),
        pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"password")),
    ],
    ids=["empty", "damaged", "other kind", "locked"],
)
def test_a_file_that_is_no_usable_key_is_named_and_left_alone(data: bytes, home: Path) -> None:
    file = keys.key_file("x")
    file.parent.mkdir()
    file.write_bytes(data)
    with pytest.raises(UsageError, match="is not an Ed25519 key"):
        keys.actor("x")
    assert file.read_bytes() == data


def test_a_signature_verifies_for_its_message_and_key_alone(home: Path) -> None:
    one, other = keys.actor("one"), keys.actor("other")
    signature = one.sign(b"message")
    assert keys.verify(one.public_key, b"message", signature)
    assert not keys.verify(one.public_key, b"massage", signature)
    assert not keys.verify(other.public_key, b"message", signature)
    assert not keys.verify(one.public_key, b"message", "00" * 64)
    assert not keys.verify(one.public_key, b"message", "no hex")
    assert not keys.verify("00", b"message", signature)
