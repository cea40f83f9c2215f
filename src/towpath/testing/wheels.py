"""Makes small wheels, so that tests of layers need no index."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, modules: Mapping[str, str] | None = None, *, requires: Sequence[str] = ()
) -> Path:
    """Write a wheel of pure Python into `folder` and return its path.

    Args:
        modules: file name -> text; by default one module that knows its version.
        requires: what it depends on, as in its metadata.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    files = dict(modules or {f"{name.replace('-', '_')}.py": f"version = {version!r}\n"})
    needs = "".join(f"Requires-Dist: {item}\n" for item in requires)
    files[f"{stem}.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    files[f"{stem}.dist-info/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
