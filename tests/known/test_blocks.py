"""Sets of blocks: the blocks that one known file alone has, keyed, whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from mantlet import settings
from mantlet.errors import EvidenceError, IntegrityError, MantletError, NotAllowedError, UsageError
from mantlet.known import blocks
from mantlet.known.keyed import BLOCK, keyed, says_nothing
from mantlet.known.records import KnownSet, Record
from mantlet.known.sets import Sets
from tests.block_files import noise
from tests.known_sets import put


@pytest.fixture
def sets() -> Iterator[Sets]:
    sets = Sets()
    yield sets
    sets.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def build(sets: Sets, *folders: Path, name: str = "blocks") -> KnownSet:
    return blocks.build(sets, folders, name, "DC Example")


def found(sets: Sets, known: KnownSet, *wanted: bytes) -> list[tuple[int, int]]:
    """Which of these blocks are in a set, and the number of the file that each is of."""
    opened = sets.open(known)
    digests = np.frombuffer(b"".join(keyed(block, opened.secret) for block in wanted), np.uint8).reshape(-1, 16)
    return sorted((place, opened.number(row)) for place, row in opened.find("block", digests))


def pieces(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data) // BLOCK * BLOCK, BLOCK)]


def test_every_whole_block_is_found_with_the_number_of_its_file_and_no_other_is(sets: Sets, files: Path) -> None:
    contents = [noise(1, 3 * BLOCK + 100), noise(2, 2 * BLOCK), noise(3, BLOCK - 1)]
    (files / "in").mkdir()
    for name, data in zip(("b", "in/a", "small"), contents, strict=True):
        (files / name).write_bytes(data)
    known = build(sets, files)
    order = sorted(hashlib.sha256(data).digest() for data in contents)
    number = [order.index(hashlib.sha256(data).digest()) + 1 for data in contents]
    wanted = [*pieces(contents[0]), *pieces(contents[1]), contents[0][1 : BLOCK + 1], noise(4, BLOCK)]
    assert found(sets, known, *wanted) == [(place, number[place > 2]) for place in range(5)]
    assert known.blocks is not None
    assert (known.blocks.files, known.blocks.blocks, known.blocks.kept) == (3, 5, 5)
    assert known.blocks.bytes == sum(map(len, contents))
    assert (known.blocks.files_without_blocks, known.blocks.bytes_without_blocks) == (1, BLOCK - 1)
    assert known.records == 5
    assert known.version == known.digest[:16]
    assert known.digest == hashlib.sha256(b"".join(order)).hexdigest()
    assert (known.form, known.sources, known.status) == ("blocks of 4,096 bytes", ["files"], "notable")


def test_what_two_files_share_tells_neither_and_a_copy_is_the_same_file(sets: Sets, files: Path) -> None:
    shared, own, twice = noise(1, BLOCK), noise(2, BLOCK), noise(3, BLOCK)
    (files / "one").write_bytes(own + shared + twice + twice)
    (files / "copy").write_bytes(own + shared + twice + twice)
    (files / "other").write_bytes(shared + noise(4, BLOCK))
    known = build(sets, files)
    assert [place for place, _ in found(sets, known, own, shared, twice, noise(4, BLOCK))] == [0, 2, 3]
    assert known.blocks is not None
    assert (known.blocks.files, known.blocks.blocks, known.blocks.kept) == (2, 6, 4), "as often as they are there"
    assert known.blocks.bytes == 6 * BLOCK
    assert known.records == 3


def test_of_each_file_its_size_is_kept_and_how_many_of_its_blocks_are(sets: Sets, files: Path) -> None:
    shared, twice = noise(1, BLOCK), noise(2, BLOCK)
    contents = {
        noise(3, 5 * BLOCK) + b"rest": 5,
        twice + twice + shared + bytes(BLOCK): 2,
        shared + bytes(2 * BLOCK): 0,
        noise(4, BLOCK - 1): 0,
        b"": 0,
    }
    for number, content in enumerate(contents):
        (files / f"{number}").write_bytes(content)
        (files / f"copy of {number}").write_bytes(content)
    known = build(sets, files)
    order = sorted(contents, key=lambda content: hashlib.sha256(content).digest())
    assert sets.open(known).files.tolist() == [[len(content), contents[content]] for content in order]
    assert known.blocks is not None
    assert (known.blocks.files_without_blocks, known.blocks.bytes_without_blocks) == (3, 4 * BLOCK - 1)


def ramp(start: int) -> bytes:
    return np.arange(start, start + 1024, dtype="<u4").tobytes()


SAYS_NOTHING = {
    "zeros": bytes(BLOCK),
    "a byte": b"\xff" * BLOCK,
    "a pattern": noise(1, 508) * 9,
    "a quarter and more of one word": noise(1, BLOCK - 4 * 257) + b"fill" * 257,
    "a ramp": ramp(70_000),
    "white space": (b" \t\r\n" + noise(1, 1)) * 820,
}
SAYS_SOMETHING = {
    "noise": noise(5, BLOCK),
    "a quarter of one word": noise(1, BLOCK - 4 * 256) + b"fill" * 256,
    "text": noise(1, BLOCK // 2).hex().encode(),
    "half a ramp": ramp(9)[:2048] + noise(1, 2048),
}


@pytest.mark.parametrize("name", SAYS_NOTHING)
def test_a_block_that_says_nothing_is_left_out(sets: Sets, files: Path, name: str) -> None:
    block = SAYS_NOTHING[name][:BLOCK]
    (files / "one").write_bytes(noise(9, BLOCK) + block)
    known = build(sets, files)
    assert found(sets, known, noise(9, BLOCK), block) == [(0, 1)]
    assert known.blocks is not None
    assert (known.blocks.blocks, known.blocks.kept) == (2, 1)


@pytest.mark.parametrize("name", SAYS_SOMETHING)
def test_any_other_block_is_kept(name: str) -> None:
    block = SAYS_SOMETHING[name]
    assert not says_nothing(np.frombuffer(block, np.uint8).reshape(1, -1))[0]


@given(some.binary(min_size=1, max_size=508))
def test_what_repeats_itself_within_508_bytes_says_nothing(pattern: bytes) -> None:
    block: NDArray[np.uint8] = np.frombuffer((pattern * BLOCK)[:BLOCK], np.uint8).reshape(1, -1)
    few = {bytes(block[0, at : at + 4]) for at in range(0, BLOCK, 4)}
    assert says_nothing(block)[0] or len(few) >= 128


def test_files_longer_than_what_is_read_at_once_are_cut_as_they_are(sets: Sets, files: Path) -> None:
    data = noise(1, 3 * 1024 * 1024 + 5 * BLOCK + 7)
    (files / "long").write_bytes(data)
    known = build(sets, files)
    assert known.records == len(data) // BLOCK
    assert [place for place, _ in found(sets, known, *pieces(data))] == list(range(len(data) // BLOCK))


def test_each_set_has_a_secret_of_its_own(sets: Sets, files: Path) -> None:
    (files / "one").write_bytes(noise(1, BLOCK))
    one, other = build(sets, files, name="one"), build(sets, files, name="other")
    secrets = {sets.open(each).secret for each in (one, other)}
    assert len(secrets) == 2
    assert {len(each) for each in secrets} == {32}
    assert one.version == other.version, "made of the same files"


def test_a_sealed_set_keeps_its_secret_and_opens_with_the_password_alone(files: Path) -> None:
    (files / "one").write_bytes(noise(1, 3 * BLOCK))
    known = build(Sets(passwords=[b"long enough"]), files)
    opened = Sets(passwords=[b"long enough"]).open(known)
    secret = opened.secret
    assert found(Sets(passwords=[b"long enough"]), known, *pieces(noise(1, 3 * BLOCK))) == [(0, 1), (1, 1), (2, 1)]
    lying = [path.read_bytes() for path in (settings.home() / "known" / known.folder).iterdir()]
    assert lying
    assert not any(secret in each or keyed(noise(1, BLOCK), secret) in each for each in lying)
    assert opened.files.tolist() == [[3 * BLOCK, 3]]
    assert not any(opened.files.tobytes() in each for each in lying)
    with pytest.raises(UsageError, match="sealed"):
        Sets().open(known)
    with pytest.raises(NotAllowedError):
        Sets(passwords=[b"another"]).open(known)


def test_a_set_without_its_secret_is_damaged(sets: Sets, files: Path) -> None:
    (files / "one").write_bytes(noise(1, BLOCK))
    known = build(sets, files)
    (settings.home() / "known" / known.folder / "secret").write_bytes(b"short")
    with pytest.raises(IntegrityError, match="damaged"):
        sets.open(known)


def test_a_set_of_hashes_has_no_secret(sets: Sets) -> None:
    opened = sets.open(put(sets, "hashes", [Record(1, md5=bytes(16))]))
    assert (opened.secret, len(opened.files)) == (b"", 0)


def test_links_and_what_is_no_file_are_not_read(sets: Sets, files: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "two").write_bytes(noise(2, BLOCK))
    (files / "one").write_bytes(noise(1, BLOCK))
    (files / "link").symlink_to(tmp_path / "outside" / "two")
    (files / "folder").symlink_to(tmp_path / "outside")
    (files / "broken").symlink_to(tmp_path / "none")
    os.mkfifo(files / "pipe")
    known = build(sets, files)
    assert known.blocks is not None
    assert known.blocks.files == 1
    assert found(sets, known, noise(2, BLOCK)) == []


def test_what_cannot_be_read_fails_the_set_whole_and_the_old_one_stays(
    sets: Sets, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "one").write_bytes(noise(1, BLOCK))
    old = build(sets, files)
    (files / "two").write_bytes(noise(2, BLOCK))
    real = os.open

    def refuse(path: object, *rest: int) -> int:
        if str(path).endswith("two"):
            raise PermissionError(13, "Permission denied")
        return real(str(path), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(EvidenceError, match=r"two cannot be read: Permission denied; nothing was imported"):
            build(sets, files)
    assert sets.all() == [old]
    assert found(sets, old, noise(1, BLOCK)) == [(0, 1)]


@pytest.mark.parametrize("content", [None, b"", bytes(9 * BLOCK), noise(1, BLOCK - 1)])
def test_files_that_have_nothing_to_find_make_no_set(sets: Sets, files: Path, content: bytes | None) -> None:
    if content is not None:
        (files / "one").write_bytes(content)
    with pytest.raises(EvidenceError, match="No file there has a block"):
        build(sets, files)
    assert sets.all() == []


def test_only_folders_are_taken(sets: Sets, files: Path) -> None:
    (files / "one").write_bytes(noise(1, BLOCK))
    for wrong in (files / "one", files / "none"):
        with pytest.raises(UsageError, match="is not a folder"):
            build(sets, wrong)


def test_a_set_has_a_most(sets: Sets, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KNOWN_RECORDS", 3)
    (files / "one").write_bytes(noise(1, 3 * BLOCK))
    assert build(sets, files).records == 3
    (files / "two").write_bytes(noise(2, BLOCK))
    with pytest.raises(MantletError, match="more than 3 blocks"):
        build(sets, files)


def test_how_far_it_is_can_be_shown(sets: Sets, files: Path) -> None:
    told: list[tuple[int, int]] = []
    for number in (1, 2):
        (files / f"{number}").write_bytes(noise(number, 5000))
    blocks.build(sets, [files], "blocks", "DC Example", progress=lambda *each: told.append(each))
    assert told == [(1, 5000), (2, 10_000)]
