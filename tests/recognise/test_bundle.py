"""A bundle is what it was made, or is refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from datetime import date

import msgspec
import pytest

from mantlet.errors import EvidenceError, IntegrityError, MantletError, NotAllowedError
from mantlet.governance import keys
from mantlet.governance.policy import Policy
from mantlet.recognise import bundle
from mantlet.recognise.manifest import Card, Kind, Label, Recipe
from tests import networks

CARD = Card(*(f"What a person writes of the {name}." for name in Card().missing()))


@pytest.fixture
def authority(tmp_path, monkeypatch) -> keys.Actor:
    monkeypatch.setenv("MANTLET_HOME", str(tmp_path))
    return keys.actor("Supt Example")


def signed(authority: keys.Actor, expires: date | None = None) -> bytes:
    return bundle.sign(bundle.read(networks.made(card=CARD), "it"), authority, expires)


def test_what_is_made_is_read_again() -> None:
    read = bundle.read(networks.made(head=b"a head", kind=Kind.CLASSIFIER), "it")
    assert (read.manifest.name, read.network, read.head) == ("colours", networks.colours(), b"a head")
    assert read.signature is None


def test_each_changed_byte_is_refused(authority) -> None:
    whole = signed(authority)
    generator = random.Random(5)
    places = {*range(60), *range(len(whole) - 400, len(whole)), *(generator.randrange(len(whole)) for _ in range(400))}
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << generator.randrange(8)
        with pytest.raises((IntegrityError, EvidenceError)):
            bundle.read(bytes(changed), "it")


@pytest.mark.parametrize("length", [0, 5, 16, 40, 100, -300, -1])
def test_what_is_cut_off_is_refused(length) -> None:
    with pytest.raises((IntegrityError, EvidenceError)):
        bundle.read(networks.made()[:length], "it")


def test_nothing_may_be_added(authority) -> None:
    with pytest.raises(IntegrityError):
        bundle.read(signed(authority) + b" ", "it")


def test_random_files_are_refused_with_a_sentence() -> None:
    generator = random.Random(6)
    for _ in range(300):
        with pytest.raises(MantletError, match=r"it .*\.$"):
            bundle.read(b"mantlet model 1\n" + generator.randbytes(generator.randrange(200)), "it")


def test_sizes_that_cannot_be_are_refused_before_they_are_read() -> None:
    with pytest.raises(EvidenceError, match="larger than a model's can be"):
        bundle.read(b"mantlet model 1\n" + b"\xff" * 24, "it")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"labels": ()}, "has no labels"),
        ({"labels": (Label("red"), Label("red"))}, "two of its labels are called red"),
        ({"kind": Kind.EMBEDDER, "recipe": Recipe("picture", 16, 16)}, "names no embedding"),
        ({"recipe": Recipe("picture", 16, 16, embedding="embedding")}, "no output for its scores"),
        ({"kind": Kind.DETECTOR}, "no output for its boxes"),
        ({"recipe": Recipe("picture", 16, 16, scores="scores", std=(0.0, 1.0, 1.0))}, "divided by is zero"),
    ],
)
def test_what_its_kind_needs_must_be_there(fields, sentence) -> None:
    with pytest.raises(EvidenceError, match=sentence):
        bundle.read(networks.made(**fields), "it")


def test_a_head_is_for_a_classifier_with_an_embedding() -> None:
    with pytest.raises(EvidenceError, match="names no embedding for it"):
        bundle.read(networks.made(head=b"x", recipe=Recipe("picture", 16, 16, scores="scores")), "it")


def test_a_manifest_is_held_to_its_limits() -> None:
    built = msgspec.to_builtins(networks.manifest())
    for field, value in (("name", "Not A Name"), ("recipe", {**built["recipe"], "width": 10**6}), ("more", 1)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps({**built, field: value}), type=type(networks.manifest()))


def test_a_card_must_be_complete_before_it_is_signed(authority) -> None:
    with pytest.raises(NotAllowedError, match="purpose, lawful basis, source, limits, contact"):
        bundle.sign(bundle.read(networks.made(), "it"), authority, None)


def test_a_signature_names_who_stands_for_it(authority) -> None:
    read = bundle.read(signed(authority, date(2027, 1, 31)), "it")
    assert read.signature is not None
    assert (read.signature.signer, read.signature.public_key) == ("Supt Example", authority.public_key)
    assert (read.manifest.authority, read.manifest.expires) == ("Supt Example", "2027-01-31")


def test_a_signature_by_another_is_refused(authority) -> None:
    whole = signed(authority)
    other = keys.actor("Somebody Else").public_key
    with pytest.raises(IntegrityError, match="signature"):
        bundle.read(whole.replace(authority.public_key.encode(), other.encode()), "it")


def test_who_may_release_stands_in_the_policy(authority) -> None:
    today = date(2026, 6, 1)
    unsigned = bundle.read(networks.made(card=CARD), "it")
    read = bundle.read(signed(authority, date(2026, 5, 31)), "it")
    named = Policy(model_authorities=(authority.public_key,))
    with pytest.raises(NotAllowedError, match="is not signed; have who may release it sign it"):
        bundle.ground(unsigned, named, today)
    with pytest.raises(NotAllowedError, match="whom your policy does not name"):
        bundle.ground(read, Policy(), today)
    with pytest.raises(NotAllowedError, match="expired on 2026-05-31"):
        bundle.ground(read, named, today)
    assert bundle.ground(read, named, date(2026, 5, 31)) == bundle.RELEASED
    for each in (unsigned, read):
        assert bundle.ground(each, Policy(allowed_models=("colours",)), today) == bundle.BY_NAME


def test_what_nobody_released_does_not_leave(authority) -> None:
    named, today = Policy(model_authorities=(authority.public_key,)), date(2026, 6, 1)
    with pytest.raises(NotAllowedError, match="has not been released"):
        bundle.refuse_export(bundle.read(networks.made(card=CARD), "it"), named, today)
    for policy in (Policy(), Policy(allowed_models=("colours",))):
        with pytest.raises(NotAllowedError, match="whom your policy does not name"):
            bundle.refuse_export(bundle.read(signed(authority), "it"), policy, today)
    bundle.refuse_export(bundle.read(signed(authority), "it"), named, today)


def test_nobody_releases_in_the_name_of_another(authority, monkeypatch) -> None:
    claimed = networks.manifest(card=CARD, authority="Home Office", expires="2099-01-01")
    assert bundle.read(bundle.make(claimed, networks.colours()), "it").manifest.authority == ""
    with pytest.raises(IntegrityError, match="somebody who did not sign it"):
        bundle.read(bundle.make(claimed, networks.colours(), b"", authority), "it")


def test_a_new_signature_does_not_make_a_release_younger(authority) -> None:
    first = bundle.read(signed(authority), "it")
    again = bundle.read(bundle.sign(first, authority, date(2030, 1, 1)), "it")
    assert again.manifest.released == first.manifest.released != ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expires", "2026-13-45"),
        ("licence", "MIT\x1b[31m"),
        ("version", "1\n2"),
        ("labels", [{"name": "red\u202e"}]),
        ("evaluation", None),
    ],
)
def test_what_a_manifest_cannot_say(field, value) -> None:
    """Text that would pose as something else on a terminal, days that there are not, nesting without end."""
    built = msgspec.to_builtins(networks.manifest())
    text = json.dumps({**built, field: value}).encode()
    if value is None:
        text = text.replace(b'"evaluation": null', b'"evaluation": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    whole = hashlib.sha256
    network, head = networks.colours(), b""
    text = text.replace(b"0" * 64, whole(network).hexdigest().encode())
    body = b"mantlet model 1\n" + struct.pack(">QQQ", len(text), len(network), 0) + text + network + head
    seal = json.dumps({"digest": whole(body).hexdigest(), "signature": None}, separators=(",", ":")).encode()
    with pytest.raises(EvidenceError, match="What it says of itself cannot be read"):
        bundle.read(body + seal, "it")


def test_a_finding_depends_on_what_it_is_made_by_and_on_nothing_else() -> None:
    before = networks.manifest()
    for same in ({"card": CARD}, {"authority": "Supt Example", "expires": "2027-01-01"}, {"version": "2"}):
        assert networks.manifest(**same).states == before.states
    turned = msgspec.structs.replace(networks.RECIPE, channels="bgr")
    assert not set(networks.manifest(recipe=turned).states.values()) & set(before.states.values())
    fewer = networks.manifest(labels=before.labels[:2]).states
    assert fewer["embedding"] == before.states["embedding"]
    assert fewer["scores"] != before.states["scores"]
