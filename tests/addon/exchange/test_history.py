"""Logs of sessions stay in their folder."""

import json
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
    assert len({file_name(id) for id in ("a/b", "a_b", "a.b", "a b")}) == 4


def test_a_line_an_exchange(tmp_path: Path) -> None:
    log = SessionLog(tmp_path)
    for prompt in ("one", "two"):
        log.write("s", Entry(1.0, "backend", prompt, "é\n", "openrouter:m"))
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == ["one", "two"]
