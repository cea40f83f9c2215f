"""What a job's code names, before the job begins."""

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from towpath.compute.process.code import CodeReader, folder_of_script
from towpath.compute.process.warm import Imports
from towpath.jobs.model import InputFile, JobSpec

Mode = Literal["w", "w:gz", "w:bz2", "w:xz"]
SCRIPT = "/opt/ml/processing/input/code/train.py"
JOB = JobSpec(key="job-1", kind="processing", name="job-1", argv=("python3", SCRIPT), python="/bin/python")
LAUNCHED = replace(
    JOB, argv=("{python}", "/opt/ml/input/config/towpath_toolkit.py", "src/train.py", "--rate", "1"), cwd="/opt/ml/code"
)


def laid_out(folder: Path, path: str, content: bytes, *, unpack: bool = False) -> InputFile:
    source = folder / hashlib.sha256(content).hexdigest()
    source.write_bytes(content)
    return InputFile(
        path=path,
        source=str(source),
        size=len(content),
        sha256=source.name,
        uri="s3://bucket/code",
        version_id="1",
        unpack=unpack,
    )


def packed(mode: Mode, **files: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("_py", ".py"))
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return held.getvalue()


def names(job: JobSpec, *words: str) -> bool:
    return CodeReader(words or ("numpy", "sklearn")).names_one(job)


def test_the_folder_of_a_script_is_its_own_or_that_of_what_the_launcher_starts() -> None:
    assert folder_of_script(JOB) == "processing/input/code"
    assert folder_of_script(LAUNCHED) == "code/src"
    assert folder_of_script(replace(JOB, argv=("python", "train.py"), cwd="/opt/ml/code")) == "code"
    assert folder_of_script(replace(JOB, argv=("python", "/usr/bin/train.py"))) == ""
    assert folder_of_script(replace(JOB, argv=("python", "../../etc/x.py"))) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from sklearn.linear_model import LogisticRegression", True),
        ("import numpy as np", True),
        ("import numpyro, json", False),
        ("my_numpy = 1", False),
        ("", False),
    ],
)
def test_a_file_beside_the_script_names_a_module_by_a_whole_word(tmp_path: Path, text: str, expected: bool) -> None:
    beside = laid_out(tmp_path, "processing/input/code/package/part.py", text.encode())
    assert names(replace(JOB, inputs=(beside,))) is expected
    assert names(replace(JOB, files={"processing/input/code/part.py": text})) is expected


def test_what_is_no_code_or_lies_elsewhere_does_not_count(tmp_path: Path) -> None:
    inputs = (
        laid_out(tmp_path, "processing/input/code/words.csv", b"numpy"),
        laid_out(tmp_path, "processing/input/codes/part.py", b"import numpy"),
        laid_out(tmp_path, "processing/input/data", packed("w", part_py="import numpy"), unpack=True),
    )
    assert not names(replace(JOB, inputs=inputs))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("place", ["code", "code/src", "code/src/deeper"])
def test_archives_of_code_are_read(tmp_path: Path, mode: Mode, place: str) -> None:
    for files, expected in (({"a_csv": "1", "src__b_py": "import sklearn"}, True), ({"a_py": "import json"}, False)):
        archive = laid_out(tmp_path, place, packed(mode, **files), unpack=True)
        assert names(replace(LAUNCHED, inputs=(archive,))) is expected


@pytest.mark.parametrize(
    "content", [b"no archive", packed("w:gz", a_py="import json " * 1000)[:60], b""], ids=["other", "torn", "empty"]
)
def test_what_cannot_be_read_is_left_to_the_runner(tmp_path: Path, content: bytes) -> None:
    damaged = laid_out(tmp_path, "code", content, unpack=True)
    assert not names(replace(LAUNCHED, inputs=(damaged,)))
    assert not names(replace(JOB, inputs=(replace(damaged, source="/not/there", path="code", unpack=False),)))


def test_an_archive_costs_no_more_than_a_few_megabytes(tmp_path: Path) -> None:
    large = io.BytesIO()
    with gzip.GzipFile(fileobj=large, mode="wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
        file.write(b"import numpy")
    archive = laid_out(tmp_path, "code", large.getvalue(), unpack=True)
    tracemalloc.start()
    try:
        assert not names(replace(LAUNCHED, inputs=(archive,))), "what lies so far behind is not read"
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_code_is_read_once(tmp_path: Path) -> None:
    reader = CodeReader(("numpy",))
    job = replace(JOB, inputs=(laid_out(tmp_path, "processing/input/code/train.py", b"import numpy"),))
    assert reader.names_one(job)
    Path(job.inputs[0].source).unlink()
    assert reader.names_one(job)


def test_jobs_get_the_imports_that_their_code_names(tmp_path: Path) -> None:
    imports = Imports(("numpy", "sklearn.linear_model"))
    job = replace(JOB, inputs=(laid_out(tmp_path, "processing/input/code/train.py", b"from sklearn import svm"),))
    assert imports.of(job) == ["numpy", "sklearn.linear_model"]
    assert imports.of(JOB) == []
    assert Imports(("numpy",), always=True).of(JOB) == ["numpy"]
    assert Imports(()).of(job) == []
