"""Files that may hold prompts are their owner's alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.exchange.private_files import append_to, make_folder

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix
def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    append_to(folder / "log").close()
    assert [mode(each) for each in (tmp_path / "a", folder, folder / "log")] == [
        0o700,
        0o700,
        0o600,
    ]


@posix
def test_existing_modes_stay(tmp_path: Path) -> None:
    (tmp_path / "log").touch(mode=0o640)
    append_to(tmp_path / "log").close()
    make_folder(tmp_path)
    assert mode(tmp_path / "log") == 0o640


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for text in (b"a\n", b"b\n"):
        with append_to(path) as file:
            file.write(text)
    assert path.read_bytes() == b"a\nb\n"
    with pytest.raises(FileExistsError):
        append_to(path, is_new=True)


@posix
def test_links_to_files_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    for name, target in (("link", "victim"), ("dangling", "nothing")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(OSError, match=r"symbolic|No such file"):
            append_to(tmp_path / name)
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@posix
def test_links_to_devices_are_followed(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    with append_to(tmp_path / "null") as file:
        assert file.write(b"x") == 1
