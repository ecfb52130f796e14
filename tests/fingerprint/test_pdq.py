"""The compiled PDQ against the reference: kept vectors, Meta's published hashes, `pdqhash` where installed."""

import json
import os
import platform
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_pdq_golden import GOLDEN, flat, noise, pictures, sha256, smooth, texture
from PIL import Image

from mantlet.fingerprint.pdq import FORMS, distance, pdq, pdq_and_forms
from mantlet.settings import PDQ_DISTANCE, PDQ_QUALITY

META_PICTURES = Path(__file__).parents[3] / "shared" / "data" / "pdq"

# python-threatexchange, signal_type/pdq/signal.py, `get_examples`: the hex text that hash lists carry.
META_HASHES = {
    "bridge-mods/aaa-orig.jpg": "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22",
    "bridge-mods/blur-a-lot.jpg": "f8f8f0cee0f4a84f0637022a038f67f0b36e26d596621e1d33e6b39c4e9c9b22",
    "bridge-mods/shrink-a-lot.jpg": "d0f8f1ccc0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4e9c9b22",
    "bridge-mods/square-128x128.jpg": "d8f8f1eec0f4a84f0e37022a078f63f0b36e2ed596621e1d33e6239c4e9c9b22",
    "misc-images/c.png": "e64cc9d91c623882f8d1f1d9a398e78c9f199b3bd83924f2b7e11e0bf861b064",
    "misc-images/wee.jpg": "6227401f601ff4ccafcc9fad4b0d95d371a2eb7265a3285234d228ca94deeb2d",
}


def test_golden_vectors() -> None:
    golden = json.loads(GOLDEN.read_text())
    drawn = dict(pictures())
    assert drawn.keys() == golden.keys()
    for name, picture in drawn.items():
        assert sha256(picture) == golden[name]["pixels"], f"{name} is drawn otherwise than when its hash was taken"
        hashed, quality = pdq(picture)
        assert (hashed.hex(), quality) == (golden[name]["pdq"], golden[name]["quality"]), name


@pytest.mark.parametrize("name", META_HASHES)
def test_meta_published_hashes(name: str) -> None:
    path = META_PICTURES / name
    if not path.exists():
        pytest.skip(f"Meta's reference pictures are not at {META_PICTURES}")
    with Image.open(path) as image:
        hashed, quality = pdq(np.asarray(image.convert("RGB")))
    # JPEG decoders may differ by a level; ThreatExchange pdq/README.md calls 10 bits correct.
    assert distance(hashed, bytes.fromhex(META_HASHES[name])) <= 10
    assert quality == 100


@settings(deadline=None, max_examples=150)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    kind=st.sampled_from(["noise", "smooth", "faint", "texture", "flat"]),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_pdqhash(height: int, width: int, kind: str, seed: int) -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="pdqhash (the bench extra) is not installed")
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("pdqhash built for other machines may fuse multiplications with additions")
    picture = {
        "noise": lambda: noise(seed, height, width),
        "smooth": lambda: smooth(seed, height, width, 2 + seed % 9),
        "faint": lambda: smooth(seed, height, width, 2 + seed % 9, 1 + seed % 30),
        "texture": lambda: texture(seed, height, width, 2 + seed % 60),
        "flat": lambda: flat(height, width, (seed % 256, seed // 256 % 256, seed // 65536 % 256)),
    }[kind]()
    vector, quality = pdqhash.compute(picture)
    assert pdq(picture) == (np.packbits(vector).tobytes(), quality)


@pytest.mark.parametrize(
    "view",
    [
        lambda rgb: rgb[::-1, ::2],
        lambda rgb: rgb[3:-2, 1:, ::-1],
        lambda rgb: rgb.transpose(1, 0, 2),
        np.rot90,
        np.asfortranarray,
        lambda rgb: np.broadcast_to(rgb[:1], rgb.shape),
    ],
)
def test_strides_do_not_matter(view) -> None:
    picture = view(smooth(1, 200, 150, 8))
    assert pdq(picture) == pdq(picture.copy(order="C"))


def test_readonly_picture() -> None:
    picture = smooth(2, 100, 120, 8)
    expected = pdq(picture)
    picture.flags.writeable = False
    assert pdq(picture) == expected


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (1, 1), (4, 500), (500, 4)])
def test_side_under_five_pixels_has_no_hash(size: tuple[int, int]) -> None:
    assert pdq(np.zeros((*size, 3), np.uint8)) == (bytes(32), 0)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 1), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((2, 10, 10, 3), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((10, 10, 3), np.uint16),
    ],
)
def test_other_arrays_are_refused(array) -> None:
    with pytest.raises(ValueError, match=r"PDQ takes uint8 \[height, width, 3\]"):
        pdq(array)


def test_near_copy_matches_and_other_picture_does_not() -> None:
    picture = smooth(3, 300, 400, 8)
    brighter = picture // 2 + 100
    assert distance(pdq(picture)[0], pdq(brighter)[0]) <= PDQ_DISTANCE
    assert distance(pdq(picture)[0], pdq(smooth(4, 300, 400, 8))[0]) > PDQ_DISTANCE


def test_works_where_no_cache_can_be_kept() -> None:
    program = "from mantlet.fingerprint.pdq import pdq; import numpy; print(pdq(numpy.zeros((9, 9, 3), 'u1'))[1])"
    nowhere = {"NUMBA_CACHE_DIR": os.devnull, "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "0\n"), run.stderr


def test_distance() -> None:
    assert distance(bytes(32), bytes(32)) == 0
    assert distance(bytes(32), b"\xff" * 32) == 256
    assert distance(b"\x01\x80", b"\x00\x01") == 3


@given(st.binary(min_size=32, max_size=32), st.sets(st.integers(0, 255)))
def test_distance_counts_flipped_bits(hashed: bytes, flipped: set[int]) -> None:
    other = int.from_bytes(hashed) ^ sum(1 << bit for bit in flipped)
    assert distance(hashed, other.to_bytes(32)) == distance(other.to_bytes(32), hashed) == len(flipped)


def test_distance_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="hashes of 32 and 16 bytes"):
        distance(bytes(32), bytes(16))


def turned(rgb: np.ndarray, form: str) -> np.ndarray:
    """The pixels of a form, in the words of `FORMS`."""
    degrees = int(form.rpartition("turned ")[2]) if "turned" in form else 0
    return np.rot90(rgb[:, ::-1] if form.startswith("mirrored") else rgb, -degrees // 90)


def forms_apart(rgb: np.ndarray) -> list[int]:
    """By how many bits each form's hash differs from that of the pixels really turned."""
    hashed, quality, forms = pdq_and_forms(rgb)
    assert (hashed, quality) == pdq(rgb)
    return [distance(pdq(turned(rgb, form))[0], value) for form, value in zip(FORMS, forms, strict=True)]


# Both sides of where the window goes from one element to two, to three, to four: it lies off centre where it is even.
SIDES = st.one_of(st.integers(64, 560), st.sampled_from([64, 127, 128, 129, 256, 257, 384, 385, 512, 513]))


@settings(deadline=None, max_examples=120)
@given(height=SIDES, width=SIDES, rough=st.booleans(), seed=st.integers(0, 2**31))
def test_forms_are_hashes_of_the_turned_pixels(height: int, width: int, rough: bool, seed: int) -> None:
    picture = texture(seed, height, width, 30) if rough else smooth(seed, height, width, 6)
    assert max(forms_apart(picture)) <= 4


def test_forms_of_the_golden_pictures() -> None:
    """But stripes: nearly all of their coefficients are 0 but for rounding, which decides their bits."""
    for name, picture in pictures():
        if min(picture.shape[:2]) >= 64 and pdq(picture)[1] >= PDQ_QUALITY and not name.startswith("stripes"):
            assert max(forms_apart(picture)) <= 2, name


def test_forms_differ_and_each_says_which_turn_makes_it() -> None:
    picture = smooth(5, 300, 400, 8)
    hashed, _, forms = pdq_and_forms(picture)
    assert all(distance(a, b) > PDQ_DISTANCE for a, b in combinations([hashed, *forms], 2))
    clockwise = np.array(Image.fromarray(picture).transpose(Image.Transpose.ROTATE_270))  # Pillow turns the other way
    assert distance(forms[FORMS.index("turned 90")], pdq(clockwise)[0]) <= 2
    mirrored = np.array(Image.fromarray(picture).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert distance(forms[FORMS.index("mirrored")], pdq(mirrored)[0]) <= 2


def test_forms_of_the_pictures_that_meta_turned() -> None:
    folder = META_PICTURES / "reg-test-input" / "dih"
    if not folder.exists():
        pytest.skip(f"Meta's reference pictures are not at {META_PICTURES}")
    record, *others = (np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.jpg")))
    used = set()
    for other in others:
        apart = [distance(pdq(record)[0], form) for form in pdq_and_forms(other)[2]]
        assert min(apart) <= 2
        used.add(apart.index(min(apart)))
    assert len(used) == 7, "each is another form"


def test_forms_of_photographs(shared: Path) -> None:
    photographs = sorted((shared / "photos").glob("*/*.jpg"))[::400]
    assert photographs
    for path in photographs:
        picture = np.asarray(Image.open(path).convert("RGB"))
        if pdq(picture)[1] >= PDQ_QUALITY:
            assert max(forms_apart(picture)) <= 2, path.name


def test_forms_of_what_has_no_hash() -> None:
    assert pdq_and_forms(np.zeros((4, 500, 3), np.uint8)) == (bytes(32), 0, [bytes(32)] * 7)
