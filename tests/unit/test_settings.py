"""Settings are read from file and environment, and what cannot be meant is refused."""

from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from towpath import settings
from towpath.kernel.errors import Invalid


@pytest.mark.parametrize("given", ["0", "-1", "nan", "1e9"])
def test_a_lease_that_no_turn_could_keep_or_nobody_could_outlast_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(Invalid, match=r"^TOWPATH_ENGINE_LEASE_S is \S+; expected 1 to 3600 seconds"):
        settings.load(tmp_path / "towpath.toml", {"TOWPATH_ENGINE_LEASE_S": given})
    assert settings.load(tmp_path / "towpath.toml", {"TOWPATH_ENGINE_LEASE_S": "2.5"}).engine_lease_s == 2.5


CHOICES = {
    name: get_args(type_) for name, type_ in get_type_hints(settings.Settings).items() if get_origin(type_) is Literal
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_setting_with_a_few_values_names_them_all_where_it_is_given_another(tmp_path: Path, name: str) -> None:
    file = tmp_path / "towpath.toml"
    file.write_text(f'{name} = "On-"\n')
    *others, last = CHOICES[name]
    with pytest.raises(Invalid) as refused:
        settings.load(file, {})
    assert refused.value.message == f"{file}: {name} is 'On-'; expected {', '.join(others)} or {last}"


SEE = "see docs/operations.md for the settings"


@pytest.mark.parametrize(
    ("line", "environment", "told"),
    [
        ('port = "many"', {}, "FILE: port is 'many'; expected a whole number"),
        ('memory_gb = "all"', {}, "FILE: memory_gb is 'all'; expected a number"),
        ("memory_gb = inf", {}, "FILE: memory_gb is inf; expected 0 (all of it) or a number of gigabytes"),
        ("memory_gb = nan", {}, "FILE: memory_gb is nan; expected 0 (all of it) or a number of gigabytes"),
        ("engine_threads = 0", {}, "FILE: engine_threads is 0; expected 1 to 256"),
        ("lost_runner_restarts = -5", {}, "FILE: lost_runner_restarts is -5; expected 0 (none) to 100"),
        ("host = 1", {}, "FILE: host is 1; expected a text in quotation marks"),
        ('images = "mine"', {}, "FILE: images is 'mine'; expected a table of texts"),
        ("", {"TOWPATH_JOB_LIMITS": "1"}, "TOWPATH_JOB_LIMITS is '1'; expected auto, on or off"),
        (
            "objects_secret_key = 4711",
            {},
            "FILE: objects_secret_key is of another type; expected a text in quotation marks",
        ),
        ('log_level = "loud"', {}, "FILE: log_level is 'loud'; expected DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        (
            "",
            {"TOWPATH_LOG_LEVEL": "loud"},
            "TOWPATH_LOG_LEVEL is 'loud'; expected DEBUG, INFO, WARNING, ERROR or CRITICAL",
        ),
        ("cores = -1", {}, "FILE: cores is -1; expected 0 (all of it) or more"),
        (
            'objects_access_key = "a"',
            {},
            "FILE: objects_access_key and objects_secret_key go together; one of them is empty",
        ),
        ("warm_starts = 1", {}, f"FILE: there is no setting 'warm_starts' (did you mean 'warm_start'?); {SEE}"),
        ("nothing_like_it = 1", {}, f"FILE: there is no setting 'nothing_like_it'; {SEE}"),
    ],
)
def test_a_setting_of_the_wrong_type_or_name_is_told_with_what_was_expected_and_where_it_stands(
    tmp_path: Path, line: str, environment: dict[str, str], told: str
) -> None:
    file = tmp_path / "towpath.toml"
    file.write_text(line)
    with pytest.raises(Invalid) as refused:
        settings.load(file, environment)
    assert refused.value.message == told.replace("FILE", str(file))


@pytest.mark.parametrize("level", ["debug", "Warning", "warn", "FATAL", "notset"])
def test_whatever_python_calls_a_level_of_logs_still_begins_a_server(tmp_path: Path, level: str) -> None:
    assert settings.load(tmp_path / "towpath.toml", {"TOWPATH_LOG_LEVEL": level}).log_level == level


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"port = [", "FILE is not valid TOML: Invalid value (at end of document)"),
        (b'port = 1\nregion = "\xff"', "FILE is not valid TOML: line 2 is not UTF-8; save it in this encoding"),
        (None, "FILE cannot be read: Is a directory"),
    ],
    ids=["cut off", "another encoding", "a folder"],
)
def test_a_file_that_cannot_be_read_is_told_with_what_is_wrong(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "towpath.toml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(Invalid) as refused:
        settings.load(file, {})
    assert refused.value.message == told.replace("FILE", str(file))


def test_what_a_server_of_another_release_shows_is_read_as_far_as_it_is_known() -> None:
    shown = {"cores": 3, "sandbox": "docker", "colour": "blue", "port": "many", "images": {"a": "/python"}}
    read, left_out = settings.from_shown(shown)
    assert read == settings.Settings(cores=3, images={"a": "/python"})
    assert left_out == ["sandbox", "colour", "port"]
