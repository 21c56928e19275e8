"""Logs of sessions stay in their folder."""

import json
import os
from pathlib import Path

import pytest

from addon.exchange.history import SessionLog, file_name
from commands.sessions.session import Entry


@pytest.mark.parametrize(
    "session_id", ["../../etc/passwd", "..", "", "a/b", "a\\b", "\0", "x" * 500, "é", "con.", "a b"]
)
def test_no_name_escapes_the_folder(tmp_path: Path, session_id: str) -> None:
    SessionLog(tmp_path / "logs").write(session_id, Entry(1.0, "proxy", "p", "t", "m"))
    (written,) = (tmp_path / "logs").iterdir()
    assert written.parent == tmp_path / "logs"
    assert json.loads(written.read_text())["prompt"] == "p"


def test_names_do_not_collide() -> None:
    assert file_name("default") == "default.jsonl"
    ids = ["a/b", "a_b", "a.b", "a b", "A_b", "abc", "Abc", "ABC", "\ud800"]
    ids += [Path(file_name(id)).stem for id in ids]  # as a session, too
    assert len({file_name(id).casefold() for id in ids}) == len(set(ids))


@pytest.mark.parametrize("name", ["con", "CON", "nul", "aux", "prn", "com1", "LPT9"])
def test_no_name_is_that_of_a_device(name: str) -> None:
    assert file_name(name).partition(".")[0].lower() != name.lower()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        SessionLog(tmp_path / "logs").write("s", Entry(1.0, "proxy", "p", "t", "m"))
    finally:
        os.umask(before)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "s.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_an_exchange(tmp_path: Path) -> None:
    log = SessionLog(tmp_path)
    for prompt in ("one", "two"):
        log.write("s", Entry(1.0, "backend", prompt, "é\n", "openrouter:m"))
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == ["one", "two"]
