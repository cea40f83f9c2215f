"""Files of continuous outputs are staged one by one while the job writes, each only when it is complete."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.compute.process.reading import drop_increments, read_increments
from towpath.runner import contents, continuous
from towpath.runner import outputs as staging
from towpath.runner.continuous import AGAIN_S, ContinuousOutputs
from towpath.runner.folder import INCREMENTS, ML
from towpath.runner.outputs import stage

OUTPUT: dict[str, Any] = {
    "name": "checkpoints",
    "path": "checkpoints",
    "bucket": "b",
    "key": "c",
    "mode": "files",
    "continuous": True,
}


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    (tmp_path / ML / "checkpoints").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def checkpoints(attempt: Path) -> Path:
    return attempt / ML / "checkpoints"


def following(attempt: Path, *, inputs: tuple[dict[str, Any], ...] = ()) -> ContinuousOutputs:
    found = ContinuousOutputs({"outputs": [OUTPUT], "inputs": list(inputs)}, attempt, lambda: None)
    found.note_laid_out()
    return found


def waiting(attempt: Path) -> list[tuple[int, str, bytes]]:
    """Return what an engine would adopt: number, key, bytes."""
    found = []
    for increment in read_increments(attempt):
        content = Path(increment.file.path).read_bytes()
        assert (increment.file.size, increment.file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        found.append((increment.number, increment.file.key, content))
    return found


def rest(attempt: Path, outputs: ContinuousOutputs) -> dict[str, bytes]:
    """Return what the end of the job stages."""
    told = stage([OUTPUT], [("", attempt / ML)], attempt / "staging", pytest.fail, outputs.known)
    return {item["key"]: Path(item["path"]).read_bytes() for item in told}


def test_a_file_is_staged_at_the_second_look_that_finds_it_the_same(attempt: Path, checkpoints: Path) -> None:
    outputs = following(attempt)
    (checkpoints / "deep").mkdir()
    (checkpoints / "deep/step-1").write_bytes(b"one")
    assert outputs.look(0.0) == 0
    assert waiting(attempt) == []
    assert outputs.look(1.0) == 1
    assert waiting(attempt) == [(1, "c/deep/step-1", b"one")]
    assert outputs.look(100.0) == 0
    assert rest(attempt, outputs) == {}


def test_a_file_that_grows_or_is_open_for_writing_waits(attempt: Path, checkpoints: Path) -> None:
    outputs = following(attempt)
    with (checkpoints / "grows").open("wb") as file:
        for at in range(5):
            file.write(b"x")
            file.flush()
            assert outputs.look(at) == 0
        for at in range(5, 10):
            assert outputs.look(at) == 0, "it stands still, and its writer has not closed it"
    assert outputs.look(10.0) == 1
    assert waiting(attempt) == [(1, "c/grows", b"xxxxx")]


def test_a_file_that_is_renamed_in_is_whole(attempt: Path, checkpoints: Path) -> None:
    outputs = following(attempt)
    hidden = attempt / ML / "half"
    hidden.write_bytes(b"whole")
    outputs.look(0.0)
    hidden.rename(checkpoints / "step-1")
    outputs.look(1.0)
    outputs.look(2.0)
    assert waiting(attempt) == [(1, "c/step-1", b"whole")]


def test_what_changes_while_it_is_copied_is_thrown_away(
    attempt: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = following(attempt)
    (checkpoints / "step-1").write_bytes(b"first")
    outputs.look(0.0)
    copy = staging.copy

    def interfered(source: int, target: Any, checkpoint: Callable[[], None]) -> None:
        copy(source, target, checkpoint)
        with (checkpoints / "step-1").open("ab") as file:
            file.write(b", second")

    monkeypatch.setattr(continuous, "copy", interfered)
    assert outputs.look(1.0) == 0
    assert list((attempt / INCREMENTS).iterdir()) == []
    monkeypatch.undo()
    outputs.look(2.0)
    outputs.look(3.0)
    assert waiting(attempt) == [(1, "c/step-1", b"first, second")]


def test_a_file_that_changes_all_the_time_is_staged_seldom_and_its_newest_waits(
    attempt: Path, checkpoints: Path
) -> None:
    outputs = following(attempt)
    staged = 0
    for at in range(int(10 * AGAIN_S)):
        if at % 2 == 0:
            (checkpoints / "last").write_bytes(b"at %d" % at)
        staged += outputs.look(float(at))
    assert 5 <= staged <= 10
    ((number, _, content),) = waiting(attempt)
    assert number == staged
    assert int(content.split()[1]) > 9 * AGAIN_S - 5, "of those that nobody adopted only the newest is kept"
    assert len(list((attempt / INCREMENTS).iterdir())) == 2


def test_what_was_adopted_is_dropped_and_the_rest_still_waits(attempt: Path, checkpoints: Path) -> None:
    outputs = following(attempt)
    for number in (1, 2, 3):
        (checkpoints / f"step-{number}").write_bytes(b"%d" % number)
        outputs.look(10.0 * number)
        outputs.look(10.0 * number + 1)
    drop_increments(attempt, until=2)
    drop_increments(attempt, until=2)
    assert waiting(attempt) == [(3, "c/step-3", b"3")]
    (checkpoints / "step-1").write_bytes(b"again")
    outputs.look(100.0)
    outputs.look(101.0)
    assert waiting(attempt) == [(3, "c/step-3", b"3"), (4, "c/step-1", b"again")]
    assert rest(attempt, outputs) == {}


def test_the_end_stages_what_is_left_and_nothing_twice(attempt: Path, checkpoints: Path) -> None:
    outputs = following(attempt)
    for name in ("same", "touched", "changed"):
        (checkpoints / name).write_bytes(name.encode())
    outputs.look(0.0)
    outputs.look(1.0)
    os.utime(checkpoints / "touched")
    (checkpoints / "changed").write_bytes(b"otherwise")
    (checkpoints / "late").write_bytes(b"late")
    assert rest(attempt, outputs) == {"c/changed": b"otherwise", "c/late": b"late"}


def test_what_was_laid_out_from_where_it_would_go_is_not_sent_back(attempt: Path, checkpoints: Path) -> None:
    inputs = []
    for name, uri in (("kept", "s3://b/c/kept"), ("changes", "s3://b/c/changes"), ("foreign", "s3://b/other/foreign")):
        (checkpoints / name).write_text(name)
        digest = hashlib.sha256(name.encode()).hexdigest()
        inputs.append({"path": f"checkpoints/{name}", "uri": uri, "sha256": digest})
    outputs = following(attempt, inputs=tuple(inputs))
    (checkpoints / "changes").write_text("otherwise")
    outputs.look(0.0)
    outputs.look(1.0)
    assert [(key, content) for _, key, content in waiting(attempt)] == [
        ("c/changes", b"otherwise"),
        ("c/foreign", b"foreign"),
    ]
    assert rest(attempt, outputs) == {}


def test_nobody_is_led_out_of_the_folder(attempt: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job still runs: what was a folder when we listed it may be a link to somebody else's when we open."""
    outputs = following(attempt)
    (attempt / "secrets").mkdir()
    (attempt / "secrets/key").write_bytes(b"secret")
    (checkpoints / "folder").mkdir()
    (checkpoints / "folder/key").write_bytes(b"public")
    outputs.look(0.0)
    opened = contents.open_inside

    def exchanged(ml: Path, place: Path) -> int:
        (checkpoints / "folder").rename(attempt / ML / "away")
        (checkpoints / "folder").symlink_to(attempt / "secrets")
        return opened(ml, place)

    monkeypatch.setattr(continuous, "open_inside", exchanged)
    assert outputs.look(1.0) == 0
    assert waiting(attempt) == []


def test_a_pipe_in_place_of_a_file_holds_nobody_up(attempt: Path, checkpoints: Path) -> None:
    os.mkfifo(checkpoints / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        contents.open_inside(attempt / ML, checkpoints / "pipe")


def test_half_of_a_copy_is_never_announced(attempt: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = following(attempt)
    (checkpoints / "step-1").write_bytes(b"one")
    outputs.look(0.0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("copy", "write_whole"):
        monkeypatch.setattr(continuous, name, full)
        assert outputs.look(1.0) == 0
        assert waiting(attempt) == []
        monkeypatch.undo()
    assert outputs.look(2.0) == 1, "there is room again"
    assert waiting(attempt) == [(1, "c/step-1", b"one")]
    assert json.loads(next((attempt / INCREMENTS).glob("*.json")).read_bytes())["number"] == 1


def test_hosts_write_into_one_output_and_what_one_was_given_hides_nothing(tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    given = b"step 1"
    for place in places:
        (place / "checkpoints").mkdir(parents=True)
        (place / "checkpoints/rank").write_bytes(given)
    item = {"path": "checkpoints/rank", "uri": "s3://b/c/rank", "sha256": hashlib.sha256(given).hexdigest()}
    outputs = ContinuousOutputs({"outputs": [OUTPUT], "inputs": [item]}, tmp_path, lambda: None, places)
    outputs.note_laid_out()
    (places[1] / "checkpoints/rank").write_bytes(b"step 2")
    (places[0] / "checkpoints/both").write_bytes(b"of one")
    (places[1] / "checkpoints/both").write_bytes(b"of two")
    outputs.look(0.0)
    outputs.look(1.0)
    assert [(key, content) for _, key, content in waiting(tmp_path)] == [("c/both", b"of one"), ("c/rank", b"step 2")]
    (places[1] / "checkpoints/last").write_bytes(b"late")
    said: list[str] = []
    told = stage(
        [OUTPUT],
        [("algo-1", places[0]), ("algo-2", places[1])],
        tmp_path / "staging",
        said.append,
        outputs.known,
        outputs.laid_out,
    )
    assert {each["key"]: Path(each["path"]).read_bytes() for each in told} == {"c/last": b"late"}
    assert said == ["output checkpoints: both of algo-2 was left out, algo-1 wrote another"]
