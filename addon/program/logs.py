"""Logging: cleans every record, optionally writes records to a file, and never fails a request."""

import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Buffer, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from addon.exchange import private_files
from backends.redact import Redactor
from commands.config.levels import ConfigError

# With `proxy_debug` mitmproxy logs all bytes that it reads, including the clients' own keys.
_CREDENTIAL = re.compile(
    r"((?:authorization|api-key|auth-token|cookie)['\"]?(?::|, ?b?)[ '\"]*)[^'\"\\\r\n]+"
    r"|([?&][\w-]*(?:key|token|secret|signature|sig|code)=)[^&#\s'\"\\]+"
    r"|(insecure-api-key\.|\bsk-(?=[\w-]{16}))[\w-]+",
    re.IGNORECASE,
)


# Control characters but tabs, line separators, changes of writing direction, lone surrogates.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def keep_secrets_out(redactor: Redactor) -> None:
    """Remove the redactor's secrets and escape control characters in all later log records.

    So a record is one line, but for its traceback. A record factory does it, so it covers every
    logger and handler, mitmproxy's debug output too. A second call replaces the first.
    """
    logging.setLogRecordFactory(_CleanRecords(redactor))
    for chatty in ("httpx", "httpcore"):  # they log each request for a list of models
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _CleanRecords:
    """Makes log records that are clean; a reloaded script must not clean them twice."""

    def __init__(self, redactor: Redactor) -> None:
        current = logging.getLogRecordFactory()
        self._make: Callable[..., logging.LogRecord] = (
            current._make if isinstance(current, _CleanRecords) else current
        )
        self._redactor = redactor

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        text = self._clean(_message(record))
        if record.exc_info:
            lines = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n").split("\n")
            if (cleaned := list(map(self._clean, lines))) != lines:
                text, record.exc_info = "\n".join([text, *cleaned]), None
        if text != record.msg:
            record.msg, record.args = text, ()
        return record

    def _clean(self, text: str) -> str:
        text = _CREDENTIAL.sub(r"\g<1>\g<2>\g<3>(hidden)", self._redactor.scrub(text))
        return _UNPRINTABLE.sub(_escaped, text)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # Wrong arguments must not fail the code that logs.
        return f"{record.msg!r} {record.args!r}"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class LogFile(logging.Handler):
    """Appends records of level INFO and above to a file. Raises ConfigError if it cannot be opened.

    It drops what cannot be written, and says so once on stderr until writing works again.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = private_files.append_to(path)
        except OSError as error:
            raise ConfigError(f"{path}: cannot log to it: {error.strerror}") from None
        super().__init__(logging.INFO)
        self._path = path
        self._has_failed = False
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        try:
            private_files.write_whole(self._file, line)
            self._has_failed = False
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                print(f"{self._path}: cannot log to it: {error.strerror}", file=sys.stderr)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Output(io.RawIOBase):
    """Passes bytes to another stream, and drops what that cannot take: a full disk, a closed pipe.

    mitmproxy ends if it cannot print.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Buffer) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(data)
            self._stream.flush()
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())


def escape_unencodable() -> None:
    """Let stdout and stderr escape characters that their encodings lack."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def make_output_safe() -> None:
    """Replace stdout and stderr by streams that never raise: missing, full, closed or narrow."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)  # None without a console, or if the parent process closed it
        target = stream.buffer if stream else open(os.devnull, "wb", buffering=0)  # noqa: SIM115
        output = io.BufferedWriter(_Output(target))
        encoding = stream.encoding if stream else "utf-8"
        safe = io.TextIOWrapper(output, encoding, "backslashreplace", line_buffering=True)
        setattr(sys, name, safe)
