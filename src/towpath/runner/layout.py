"""Lays out what a job reads: checked copies of its inputs, unpacked archives, text files and folders."""

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from towpath.runner import archives
from towpath.runner.folder import is_full, write_all

CHUNK = 1 << 20

#: Called between chunks; raises to end a long copy, for instance because the job is to stop.
Checkpoint = Callable[[], None]


class LayoutFailed(Exception):
    """An input cannot be laid out; the message is the job's failure reason."""


def lay_out(job: dict[str, Any], ml: Path, checkpoint: Checkpoint, rewrite: Callable[[str], str]) -> None:
    """Make everything that a job finds below /opt/ml when it starts.

    Args:
        job: the JobSpec document.
        ml: the folder that becomes /opt/ml.
        rewrite: applied to the text of `files`, for jobs that see `ml` under its real path.
    Raises:
        LayoutFailed: an input is damaged, unsafe or does not fit beside the others.
    """
    for folder in job.get("folders", ()):
        _inside(ml, folder).mkdir(parents=True, exist_ok=True)
    for item in job.get("inputs", ()):
        try:
            _lay_out_input(item, ml, checkpoint)
        except OSError as error:
            if is_full(error):
                raise  # no fault of this input
            why = _why_not_laid_out(item, error)
            raise LayoutFailed(f"Input {item['uri']} cannot be laid out at /opt/ml/{item['path']}: {why}") from error
    for path, text in job.get("files", {}).items():
        target = _inside(ml, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(rewrite(text), encoding="utf-8")


def _inside(ml: Path, path: str) -> Path:
    """Return the place of a relative path of the job, which must not lead out of /opt/ml."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise LayoutFailed(f"The path {path!r} leads out of /opt/ml; it must be relative and without '..'")
    return ml / pure


def _why_not_laid_out(item: dict[str, Any], error: OSError) -> str:
    """Return why in words that do not tell where the platform's home lies."""
    if error.filename == item["source"]:
        why = "gone" if isinstance(error, FileNotFoundError) else f"not to be read ({error.strerror})"
        return f"the bytes of version {item['version_id']} are {why}"
    if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
        return "another input of the job is laid out in that place, or a file where this one needs a folder"
    return error.strerror or str(error)


def _lay_out_input(item: dict[str, Any], ml: Path, checkpoint: Checkpoint) -> None:
    target = _inside(ml, item["path"])
    if not item.get("unpack"):
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_checked(item, target, checkpoint)
        return
    target.mkdir(parents=True, exist_ok=True)
    archive = ml.parent / "unpacking.tar"  # beside /opt/ml: the job never sees it
    copy_checked(item, archive, checkpoint)
    try:
        unpack(archive, target, item["uri"], checkpoint)
    finally:
        archive.unlink()


def copy_checked(item: dict[str, Any], target: Path, checkpoint: Checkpoint) -> None:
    """Copy one blob and make sure that every byte is what the platform recorded.

    Raises:
        LayoutFailed: size or digest differ.
    """
    digest, size = hashlib.sha256(), 0
    source = os.open(item["source"], os.O_RDONLY | os.O_CLOEXEC)
    try:
        destination = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            while chunk := os.read(source, CHUNK):
                checkpoint()
                digest.update(chunk)
                size += len(chunk)
                write_all(destination, chunk)
        finally:
            os.close(destination)
    finally:
        os.close(source)
    if (size, digest.hexdigest()) != (item["size"], item["sha256"]):
        raise LayoutFailed(
            f"Input {item['uri']} (version {item['version_id']}) is damaged: expected {item['size']} bytes with "
            f"SHA-256 {item['sha256']}, found {size} bytes with {digest.hexdigest()}"
        )


def unpack(archive: Path, target: Path, uri: str, checkpoint: Checkpoint) -> None:
    """Unpack a tar archive, compressed or not, below `target` and nowhere else.

    Not `tarfile`'s own filters: they came late in 3.11, and they strip a leading slash where a refusal is wanted.
    Nothing is ever written through a link of the archive, and each link must end inside `target`.
    Raises:
        LayoutFailed: the archive is damaged, or a member leads out of `target` or is a device.
    """
    root = target.resolve()
    links: list[tuple[str, Path]] = []
    try:
        with _opened(archive, uri) as members:
            for member in members:
                checkpoint()
                try:
                    _place(members, member, root, uri, links, checkpoint)
                except OSError as error:
                    if error.filename is None or is_full(error):
                        raise  # it is about the archive, or about all that is written
                    raise LayoutFailed(_why_not_placed(member.name, uri, error)) from error
            # The checksum of what was packed lies behind the last member; without it, damage could pass for content.
            while members.fileobj is not None and members.fileobj.read(CHUNK):
                checkpoint()
    except archives.UNREADABLE as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        raise LayoutFailed(f"{uri} cannot be unpacked as a tar archive: {error}. Upload it anew, whole") from error
    for name, place in links:  # only now do chains of links lead where they will lead the job
        end = place.resolve()
        if end != root and root not in end.parents:
            raise LayoutFailed(f"{uri} is not safe to unpack: the link {name!r} leads out of its folder")


@contextlib.contextmanager
def _opened(archive: Path, uri: str) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file, contextlib.ExitStack() as stack:
        try:
            members = stack.enter_context(archives.opened(file))
        except tarfile.ReadError as error:
            raise LayoutFailed(
                f"{uri} is no tar archive, compressed or not ({archive.stat().st_size} bytes), or it was damaged. Pack "
                "it again with `tar -czf`, and upload it anew"
            ) from error
        yield members


def _member_place(root: Path, name: str, uri: str) -> Path:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise LayoutFailed(f"{uri} is not safe to unpack: {name!r} leads out of its folder")
    place = root / pure
    for parent in place.parents:
        if parent == root:
            break
        if parent.is_symlink():
            raise LayoutFailed(
                f"{uri} is not safe to unpack: {name!r} would be written through the link {parent.name!r}"
            )
    return place


def _place(
    members: tarfile.TarFile,
    member: tarfile.TarInfo,
    root: Path,
    uri: str,
    links: list[tuple[str, Path]],
    checkpoint: Checkpoint,
) -> None:
    """Make what a member stands for; what is a link is added to `links`."""
    place = _member_place(root, member.name, uri)
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.is_file():
        place.unlink()  # as tar does: the later member wins
    if member.issym():
        place.symlink_to(member.linkname)
        links.append((member.name, place))
    elif member.islnk():
        original = _member_place(root, member.linkname, uri)
        if not original.is_file() or original.is_symlink():
            raise LayoutFailed(
                f"{uri} is not safe to unpack: {member.name!r} links to {member.linkname!r}, which is no file that "
                "came before it"
            )
        os.link(original, place, follow_symlinks=False)
    elif member.isreg():
        _write_member(members, member, place, checkpoint)
    else:
        raise LayoutFailed(f"{uri} is not safe to unpack: {member.name!r} is neither file, folder nor link")


def _why_not_placed(name: str, uri: str, error: OSError) -> str:
    """Return why a member has no place, by its name in the archive: the error tells where the platform's home lies."""
    if isinstance(error, (FileExistsError, NotADirectoryError, IsADirectoryError)):
        return (
            f"{uri} cannot be unpacked: {name!r} and what was unpacked before it are a file and a folder of one name. "
            "Pack it again with only one of the two, and upload it anew"
        )
    return f"{uri} cannot be unpacked: {name!r} cannot be written: {error.strerror}"


def _write_member(members: tarfile.TarFile, member: tarfile.TarInfo, place: Path, checkpoint: Checkpoint) -> None:
    content = members.extractfile(member)
    assert content is not None, "only regular files come here"
    mode = 0o755 if member.mode & 0o100 else 0o644
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        while chunk := content.read(CHUNK):
            checkpoint()
            write_all(descriptor, chunk)
    finally:
        os.close(descriptor)
