"""A model bundle: one file that holds the networks, says what they are, and is signed by who stands for it.

    "mantlet model 1\\n"; three lengths (8 bytes each, big-endian): manifest, network, head
    manifest (JSON, `manifest.Manifest`); network (ONNX: pixels to outputs); head (ONNX: embedding to probabilities)
    seal (JSON): SHA-256 of everything before it; the signature over that, if it is signed

A fixed order and no room for anything else, so that each byte of the file is under the digest: an archive has places
that nobody signs. Nothing in it is a pickle, and no code comes with it.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import msgspec

from mantlet import settings
from mantlet.errors import EvidenceError, IntegrityError, NotAllowedError, UsageError, plain
from mantlet.governance import keys
from mantlet.governance.keys import Actor
from mantlet.governance.ledger import now
from mantlet.governance.policy import Policy
from mantlet.recognise.manifest import Kind, Manifest
from mantlet.types import Sha256, Word

_MAGIC: Final = b"mantlet model 1\n"
_LENGTHS: Final = struct.Struct(">QQQ")
_LONGEST_MANIFEST: Final = 16 * 1024 * 1024
_LONGEST_NETWORK: Final = 2 * 1024**3 - 1
"""Bytes that a protocol buffer can have, and so an ONNX file without others beside it."""
_LONGEST_SEAL: Final = 4096
_LABELLED: Final = (Kind.CLASSIFIER, Kind.DETECTOR, Kind.TEXT)


PROVES: Final = (
    "No byte of the bundle was changed since it was made, and its networks are those that it names.",
    "If it is signed: whoever holds the private half of that key stood for all that the bundle says.",
    "Its networks open in a box, and gave answers of the right shape for test pictures.",
)
DOES_NOT_PROVE: Final = (
    "That the key belongs to the person named: compare it with `mantlet key show` of that person.",
    "That what its card and its evaluation say is true: measure it on your own cases (`mantlet model evaluate`).",
    "That it knows what it was not taught: what looks different from all that was taught may score low.",
)


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ed25519 (RFC 8032) by `signer` with `public_key` (hex), over the digest, the signer's name and the time."""

    signer: Word
    public_key: Sha256  # as many digits
    at: Word
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]


class _Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: Sha256
    signature: Signature | None = None


class Bundle(msgspec.Struct, frozen=True):
    """An opened bundle: what it says, its ONNX files (`head` empty where it has none), its digest, its signature, and
    the bytes of the `file` that all this was read from."""

    manifest: Manifest
    network: bytes
    head: bytes
    digest: str
    signature: Signature | None
    file: bytes


def make(manifest: Manifest, network: bytes, head: bytes = b"", actor: Actor | None = None) -> bytes:
    """The file of a bundle, signed if there is an actor, who is then its authority; without one it has none. Networks
    are named in the manifest by what they are."""
    manifest = msgspec.structs.replace(manifest, network=_sha256(network), head=_sha256(head) if head else None)
    if actor is None:
        manifest = msgspec.structs.replace(manifest, authority="", expires=None)
    text = msgspec.json.encode(manifest, order="sorted")
    body = _MAGIC + _LENGTHS.pack(len(text), len(network), len(head)) + text + network + head
    digest, signature = _sha256(body), None
    if actor is not None:
        at = now()
        signed = actor.sign(_message(digest, actor.name, at))
        signature = Signature(actor.name, actor.public_key, at, signed)
    return body + msgspec.json.encode(_Seal(digest, signature), order="sorted")


def read(data: bytes, name: str) -> Bundle:
    """Opens the file of a bundle; `name` is how errors call it.

    1. It begins as a bundle does, and its parts have the lengths that it says, to the last byte.
    2. The seal holds the digest of everything before it, and nothing else than what it is made of.
    3. The manifest is one; the networks are those that it names.
    4. It has the labels and the networks that its kind needs.
    5. Its signature, if it has one, is right, and nobody else is said to have released it.

    The caller's duty: whether whoever signed may release models (`refuse_untrusted`), and whether the networks fit what
    the manifest says of them, which shows when they are run (`mantlet.recognise.runtime`).

    Raises:
        EvidenceError: not a bundle, or one that lacks something.
        IntegrityError: a bundle that is not as it was made.
    """
    start = len(_MAGIC) + _LENGTHS.size
    if not data.startswith(_MAGIC) or len(data) < start:
        raise EvidenceError(f"{name} is not a model bundle; `mantlet model add` takes an ONNX file with a recipe.")
    lengths = _LENGTHS.unpack_from(data, len(_MAGIC))
    if lengths[0] > _LONGEST_MANIFEST or max(lengths[1:]) > _LONGEST_NETWORK:
        raise EvidenceError(f"{name} says that its parts are larger than a model's can be.")
    end = start + sum(lengths)
    if not end < len(data) <= end + _LONGEST_SEAL:  # 1
        raise IntegrityError(f"{name} is cut off, or something was added to it.")
    text, network, head = (
        data[start + sum(lengths[:number]) : start + sum(lengths[: number + 1])] for number in range(3)
    )
    try:
        seal = msgspec.json.decode(data[end:], type=_Seal)
    except (ValueError, RecursionError):
        raise IntegrityError(f"The seal of {name} is damaged.") from None
    whole = memoryview(data)[:end]
    if not hmac.compare_digest(seal.digest, _sha256(whole)) or data[end:] != msgspec.json.encode(seal, order="sorted"):
        raise IntegrityError(f"{name} was changed after it was made: its digest is another.")  # 2
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"What {name} says of itself cannot be read: {plain(error)}.") from None
    if manifest.network != _sha256(network) or manifest.head != (_sha256(head) if head else None):  # 3
        raise IntegrityError(f"{name} holds other networks than it names.")
    _refuse_incomplete(manifest, name)  # 4
    by = seal.signature  # 5
    if manifest.authority != (by.signer if by else "") or (manifest.expires and not by):
        raise IntegrityError(f"{name} says that it was released by somebody who did not sign it.")
    if by is not None and not keys.verify(by.public_key, _message(seal.digest, by.signer, by.at), by.signature):
        raise IntegrityError(f"The signature on {name} is wrong.")
    return Bundle(manifest, network, head, seal.digest, by, data)


def read_file(path: Path) -> Bundle:
    """As `read`. Raises EvidenceError for a file that cannot be read, too."""
    return read(file_of(path), str(path))


def file_of(path: Path) -> bytes:
    """The bytes of a file that may be a bundle. Raises EvidenceError for one that cannot be read, or be one."""
    try:
        if not path.is_file():
            raise EvidenceError(f"{path} is not a file.")
        if path.stat().st_size > 2 * _LONGEST_NETWORK:
            raise EvidenceError(f"{path} is larger than a model bundle can be.")
        return path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}.") from None


def peek(path: Path) -> Manifest:
    """What a bundle says of itself, without a look at the rest of it or whether that is true: to choose by, not to use.
    Raises EvidenceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC) + _LENGTHS.size)
            if not start.startswith(_MAGIC) or len(start) < len(_MAGIC) + _LENGTHS.size:
                raise EvidenceError(f"{path} is not a model bundle.")
            length = _LENGTHS.unpack_from(start, len(_MAGIC))[0]
            text = file.read(min(length, _LONGEST_MANIFEST))
        return msgspec.json.decode(text, type=Manifest)
    except (OSError, ValueError, RecursionError) as error:
        raise EvidenceError(f"{path} cannot be read: {plain(error)}.") from None


def is_one(path: Path) -> bool:
    """Whether a file begins as a bundle does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def sign(bundle: Bundle, actor: Actor, expires: date | None) -> bytes:
    """The file of the same bundle, released by `actor` until a day.

    Raises:
        NotAllowedError: its card is not complete: nobody can stand for what it does not say.
    """
    missing = bundle.manifest.card.missing()
    if missing:
        name = bundle.manifest.name
        raise NotAllowedError(
            f"The card of '{name}' does not say its {', '.join(missing).replace('_', ' ')}; "
            f"`mantlet model card {name}` shows what is missing."
        )
    until = expires.isoformat() if expires else None
    first = bundle.manifest.released or now()
    manifest = msgspec.structs.replace(bundle.manifest, authority=actor.name, released=first, expires=until)
    return make(manifest, bundle.network, bundle.head, actor)


BY_NAME: Final = "allowed by name"
RELEASED: Final = "released"


def ground(bundle: Bundle, policy: Policy, today: date) -> str:
    """Why a bundle may be used here: RELEASED by one whom the force's policy names, or else allowed BY_NAME.

    Raises:
        NotAllowedError: neither: not signed, not by one of these, or expired.
    """
    home = settings.home() / "policy.json"
    try:
        otherwise = f', or add "{bundle.manifest.name}" to "allowed_models" in {home}, a list of names'
        _refuse_unreleased(bundle, policy, today, otherwise)
    except NotAllowedError:
        if bundle.manifest.name in policy.allowed_models:
            return BY_NAME
        raise
    return RELEASED


def _refuse_unreleased(bundle: Bundle, policy: Policy, today: date, otherwise: str) -> None:
    """Raises NotAllowedError with what to do, or `otherwise` to do."""
    manifest, by = bundle.manifest, bundle.signature
    if by is None:
        how = f"have who may release it sign it (mantlet model sign {manifest.name} --as NAME)"
        raise NotAllowedError(f"The model '{manifest.name}' is not signed; {how}{otherwise}.")
    if by.public_key not in policy.model_authorities:
        who = f"The model '{manifest.name}' is signed by {by.signer} with the key {by.public_key}, whom your policy"
        home = settings.home() / "policy.json"
        raise NotAllowedError(
            f'{who} does not name; once you have compared the key, add it to "model_authorities" in {home}, a list of '
            f"keys{otherwise}."
        )
    if manifest.expires is not None and date.fromisoformat(manifest.expires) < today:
        raise NotAllowedError(
            f"The model '{manifest.name}' expired on {manifest.expires}; have it signed anew{otherwise}."
        )


def refuse_export(bundle: Bundle, policy: Policy, today: date) -> None:
    """Raises NotAllowedError unless an authority whom the policy names has released it."""
    name = bundle.manifest.name
    if bundle.signature is not None:
        _refuse_unreleased(bundle, policy, today, otherwise="")
    else:
        raise NotAllowedError(
            f"The model '{name}' has not been released by a named authority, so it does not leave this machine; "
            f"`mantlet model card {name}` and then `mantlet model sign {name} --as NAME` release it."
        )


def _refuse_incomplete(manifest: Manifest, name: str) -> None:
    """Raises EvidenceError where a manifest lacks what its kind needs."""
    recipe, kind = manifest.recipe, manifest.kind
    names = [label.name for label in manifest.labels]
    fault = (
        f"it is a {kind} and has no labels" if kind in _LABELLED and not names
        else f"two of its labels are called {Counter(names).most_common(1)[0][0]}; rename one"
        if len(set(names)) < len(names)
        else "it is an embedder and names no embedding" if kind is Kind.EMBEDDER and not recipe.embedding
        else "it has a head and names no embedding for it" if manifest.head and not recipe.embedding
        else "it has a head and is no classifier" if manifest.head and kind is not Kind.CLASSIFIER
        else f"it is a {kind} and names no output for its scores"
        if kind is not Kind.EMBEDDER and not manifest.head and not recipe.scores
        else "it is a detector and names no output for its boxes" if kind is Kind.DETECTOR and not recipe.boxes
        else "what pixels are divided by is zero" if not all(recipe.std)
        else ""
    )  # fmt: skip
    if fault:
        raise EvidenceError(f"{name} cannot be used: {fault}.")


def refuse_incomplete(manifest: Manifest) -> None:
    """Raises UsageError for what somebody writes of a model that is to be added."""
    try:
        _refuse_incomplete(manifest, "The recipe")
    except EvidenceError as error:
        raise UsageError(str(error)) from None


def _sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _message(digest: str, signer: str, at: str) -> bytes:
    return msgspec.json.encode(["mantlet model", digest, signer, at])
