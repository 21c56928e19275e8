"""Log records are clean lines, and no line that cannot be written fails anybody."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.program import logs
from backends.keys import Key
from backends.redact import Redactor
from commands.config.levels import ConfigError

SECRET = "sk-or-v1-0123456789abcdef"
logger = logging.getLogger("tests.logs")


@pytest.fixture
def cleaned(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    before = logging.getLogRecordFactory()
    logs.keep_secrets_out(Redactor(()))  # a script that was loaded before
    logs.keep_secrets_out(Redactor((Key("KEY", SECRET),)))
    caplog.set_level(logging.DEBUG)
    yield caplog
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\tb é 🚀", "a\tb é 🚀"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("x\r\n2026-01-01 ERROR forged", r"x\r\n2026-01-01 ERROR forged"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("a\u2028b\u2029c\u202ed\u2066e", r"a\u2028b\u2029c\u202ed\u2066e"),
        ("\ud800", r"\ud800"),
        (f"\x1b{SECRET}\n", r"\x1b(API_KEY_HAS_BEEN_REDACTED)\n"),
    ],
)
def test_a_record_is_one_printable_line(
    cleaned: pytest.LogCaptureFixture, text: str, line: str
) -> None:
    logger.warning("%s", text)
    logger.warning(text)
    assert [record.getMessage() for record in cleaned.records] == [line, line]


def test_a_traceback_keeps_its_lines(cleaned: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(f"\x1b[2J {SECRET}")
    except ValueError:
        logger.exception("it\nfailed")
    assert r"it\nfailed" in cleaned.text
    assert "\nTraceback (most recent call last):\n" in cleaned.text
    assert r"ValueError: \x1b[2J " in cleaned.text
    assert "\x1b" not in cleaned.text
    assert SECRET not in cleaned.text


def test_wrong_arguments_fail_nobody(cleaned: pytest.LogCaptureFixture) -> None:
    logger.warning("%d of %d", "one")
    assert cleaned.records[0].getMessage() == "'%d of %d' ('one',)"


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, text, (), None)


@pytest.mark.parametrize("name", ["nowhere/log", "."])
def test_a_log_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot log to it: "):
        logs.LogFile(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
def test_a_full_disk_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import resource

    path = tmp_path / "log"
    handler = logs.LogFile(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler.emit(record("first \ud800"))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
        handler.emit(record("lost"))
        handler.emit(record("lost"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    handler.emit(record("last"))
    handler.close()
    assert capsys.readouterr().err == f"{path}: cannot log to it: File too large\n"
    assert [line.split(": ")[-1] for line in path.read_text().splitlines()] == [
        r"first \ud800",
        "last",
    ]
    assert path.stat().st_mode & 0o777 == 0o600
