"""What functions with `@step` returned, fetched to where the client is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from towpath.calling import values
from towpath.sdk.errors import ResultUnreadable
from towpath.sdk.lake import Lake


def fetched(lake: Lake, uri: str, folder: Path | None) -> Any:
    """Return the value below an S3 URI.

    Args:
        folder: where its files go to; without one, a value that names files is refused.
    Raises:
        ResultUnreadable: it is none, or it needs a library that is not here.
    """
    try:
        return _fetched(lake, uri, folder)
    except values.ValueRefused as why:
        raise ResultUnreadable(str(why)) from why


def _fetched(lake: Lake, uri: str, folder: Path | None) -> Any:
    manifest = lake.get_bytes(f"{uri}/{values.MANIFEST}").decode()
    content = values.parsed(manifest)
    if folder is None and "path" in content["kinds"].values():
        raise values.ValueRefused(
            f"{content['of']} names files; give a folder to put them into: result(STEP, folder=...)"
        )
    with TemporaryDirectory() as temporary:
        target = Path(temporary) if folder is None else folder
        target.mkdir(parents=True, exist_ok=True)
        (target / values.MANIFEST).write_text(manifest, encoding="utf-8")
        if not values.is_plain(content):
            for each in lake.objects(f"{uri}/{values.FILES}/"):
                place = target / each.key.removeprefix(_key(uri))
                place.parent.mkdir(parents=True, exist_ok=True)
                lake.get_file(each.uri, place)
        return values.read(target, classes=False)


def _key(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[2] + "/"
