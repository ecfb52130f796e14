"""Only the parts of Pillow that pictures need are loaded, and all of them before the first picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

from mantlet.media import picture  # noqa: F401 - that Pillow can write HEIF

_SCRIPT = """
import sys
from pathlib import Path
from mantlet.media import picture

def plugins():
    return {name.removeprefix("PIL.") for name in sys.modules if name.endswith("ImagePlugin")}

at_first = plugins()
for path in map(Path, sys.argv[1:]):
    decoded = picture.decode(path.read_bytes())
    assert (decoded.width, decoded.height, decoded.damage) == (256, 256, ""), path
print(*sorted(plugins() - at_first), "|", *sorted(at_first))
"""
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "HEIF", "AVIF", "ICO", "JPEG2000", "PPM")


def test_pictures_load_no_plugin_and_those_that_none_needs_are_not_there(tmp_path: Path) -> None:
    scene = Image.linear_gradient("L").convert("RGB")
    for form in _FORMATS:
        more = {"save_all": True, "append_images": [scene.rotate(90)]} if form == "MPO" else {}
        scene.save(tmp_path / form, form, **more)
    files = [str(tmp_path / form) for form in _FORMATS]
    run = subprocess.run([sys.executable, "-c", _SCRIPT, *files], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    later, at_first = run.stdout.split("|")
    assert later.split() == []
    assert "JpegImagePlugin" in at_first
    assert "PdfImagePlugin" not in at_first
