"""Requirements files say what a layer is made of, and nothing outside the job is read for them."""

from pathlib import Path

import pytest

from towpath.runner.requirements import Asked, Refused, asked_for, without_credentials


def read(root: Path, text: str, **others: str) -> Asked:
    (root / "requirements.txt").write_text(text)
    for name, content in others.items():
        (root / f"{name}.txt").write_text(content)
    return asked_for([root / "requirements.txt"], root)


def test_packages_markers_hashes_and_comments_are_read(tmp_path: Path) -> None:
    asked = read(
        tmp_path,
        "\ufeff# what we need\nhumanize>=4  # for people\n\nsix==1.17.0 \\\n    --hash=sha256:00\n"
        'tomli; python_version < "3.11"\npkg @ https://host/pkg-1.0-py3-none-any.whl#sha256=00\n',
    )
    assert asked.lines == [
        "humanize>=4",
        "six==1.17.0      --hash=sha256:00",
        'tomli; python_version < "3.11"',
        "pkg @ https://host/pkg-1.0-py3-none-any.whl#sha256=00",
    ]
    assert asked.ignored == []


def test_included_files_and_constraints_belong_to_it(tmp_path: Path) -> None:
    asked = read(tmp_path, "-r more.txt\n--constraint limits.txt\na\n", more="b\n", limits="b<2\n")
    assert asked.lines == ["b", "a"]
    assert asked.constraints == ["b<2"]


def test_the_order_of_lines_and_comments_do_not_make_another_layer(tmp_path: Path) -> None:
    assert read(tmp_path, "a\nb\n").text() == read(tmp_path, "b # first\na\na\n").text()
    assert read(tmp_path, "a\nb\n").text() != read(tmp_path, "a\nb<2\n").text()


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("-i https://host/simple", "--index-url https://host/simple"),
        ("--index-url=https://host/simple", "--index-url https://host/simple"),
        ("--extra-index-url https://host/simple", "--extra-index-url https://host/simple"),
        ("-fhttps://host/wheels", "--find-links https://host/wheels"),
    ],
)
def test_where_packages_come_from_is_handed_on(tmp_path: Path, line: str, source: str) -> None:
    assert read(tmp_path, f"{line}\na\n").sources == [source]


@pytest.mark.parametrize("option", ["--pre", "--no-binary :all:", "--only-binary=x", "--use-pep517"])
def test_other_options_have_no_effect_and_are_named(tmp_path: Path, option: str) -> None:
    asked = read(tmp_path, f"{option}\na\n")
    assert asked.ignored == [option.replace("=", " ").split()[0]]
    assert asked.lines == ["a"]


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable ./lib",
        "./wheels/a-1.0-py3-none-any.whl",
        "/etc/passwd",
        "a @ file:///etc/passwd",
        "git+https://host/repository",
        "a @ git+ssh://host/repository",
        "--find-links /etc",
        "-i file:///etc",
        "-r missing.txt",
        "-r ../outside.txt",
        "-r /etc/hostname",
        "-r requirements.txt",
    ],
)
def test_what_a_layer_cannot_hold_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "outside.txt").write_text("a\n")
    root = tmp_path / "job"
    root.mkdir()
    with pytest.raises(Refused, match=r"\.txt|hostname"):
        read(root, f"{line}\n")


def test_a_link_that_leads_out_of_the_job_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("a\n")
    root = tmp_path / "job"
    root.mkdir()
    (root / "requirements.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(Refused, match="leads out"):
        asked_for([root / "requirements.txt"], root)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match="no text file"):
        asked_for([tmp_path / "requirements.txt"], tmp_path)


def test_no_file_asks_for_nothing(tmp_path: Path) -> None:
    assert asked_for([tmp_path / "requirements.txt"], tmp_path).text() == ""


def test_passwords_in_addresses_are_not_told() -> None:
    assert without_credentials("see https://ada:pw@host/simple and b") == "see https://***@host/simple and b"
