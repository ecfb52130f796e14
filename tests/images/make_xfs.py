"""Makes xfs.img.xz, and xfs.json, which says what is in it: paths, sizes and SHA-1 of every regular file.

Needs mkfs.xfs and xfs_db (xfsprogs 6.1): a prototype file places files without mounting, `--unsupported` allows an
image under 300 MB. xfs_db then gives one file a hole at its end, and marks another's blocks as never written, which
read as zeros. Run it beside the image: python tests/images/make_xfs.py
"""

from __future__ import annotations

import hashlib
import json
import lzma
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MANY = 300
DEEP = 40
HOLE = 1_000_000
LONG = "a name of as many bytes as XFS has room for " * 6
LATIN = "caf\u00e9.txt"


def contents() -> dict[str, bytes]:
    """What each path holds before xfs_db."""
    files = {f"/many/file_number_{number}.bin": b"%d\n" % number * 7 for number in range(MANY)}
    files["/" + "/".join(f"d{level}" for level in range(DEEP)) + "/deep.txt"] = b"at the bottom\n"
    files["/" + LONG.replace(" ", "_")[:251] + ".txt"] = b"a long name\n"
    files["/\u30d5\u30a9\u30c8.jpg"] = b"a name in Japanese\n"
    files["/" + LATIN] = b"a name that is not UTF-8\n"
    files["/empty"] = b""
    files["/extents"] = bytes(range(256)) * 1200
    files["/hole"] = b"then a hole" * 1000
    files["/unwritten"] = b"never written" * 1000
    return files


def prototype(files: dict[str, bytes], folder: Path) -> bytes:
    """The text that mkfs.xfs takes (mkfs.xfs(8), -p): one line for each file, folders closed by `$`."""
    lines = [b"/", b"0 0", b"d--755 0 0", b"link l--777 0 0 /empty", b"pipe p--644 0 0"]
    open_folders: list[str] = []
    for number, (path, data) in enumerate(sorted(files.items())):
        *parents, name = path.strip("/").split("/")
        while open_folders != parents[: len(open_folders)]:
            open_folders.pop()
            lines.append(b"$")
        for parent in parents[len(open_folders) :]:
            open_folders.append(parent)
            lines.append(f"{parent} d--755 0 0".encode())
        (folder / str(number)).write_bytes(data)
        coding = "latin-1" if name == LATIN else "utf-8"
        lines.append(name.encode(coding) + f" ---644 0 0 {folder / str(number)}".encode())
    return b"\n".join([*lines, *[b"$"] * len(open_folders), b"$", b""])


def change(image: Path, files: dict[str, bytes]) -> None:
    """A hole at the end of one file, and blocks never written in another."""
    for path, command in (("/hole", f"write core.size {HOLE}"), ("/unwritten", "write u3.bmx[0].extentflag 1")):
        asked = ["-c", f"path {path}", "-c", command]
        subprocess.run(["xfs_db", "-x", *asked, image], check=True, stdout=subprocess.DEVNULL)
    files["/hole"] = files["/hole"].ljust(HOLE, b"\0")
    files["/unwritten"] = bytes(len(files["/unwritten"]))


def main() -> None:
    files = contents()
    with tempfile.TemporaryDirectory() as temporary:
        folder, image = Path(temporary), Path(temporary) / "xfs.img"
        (folder / "prototype").write_bytes(prototype(files, folder))
        with image.open("wb") as file:
            file.truncate(20 * 1024 * 1024)
        subprocess.run(["mkfs.xfs", "--unsupported", "-q", "-p", folder / "prototype", image], check=True)
        change(image, files)
        (HERE / "xfs.img.xz").write_bytes(lzma.compress(image.read_bytes(), preset=9))
    truth = {path: [len(data), hashlib.sha1(data).hexdigest()] for path, data in sorted(files.items())}
    (HERE / "xfs.json").write_text(json.dumps(truth, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
