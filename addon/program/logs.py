"""Logging: secrets are kept out of every record, and records go to a file if wanted."""

import logging
import re
import traceback
from pathlib import Path
from typing import Any

from backends.redact import Redactor

# With `proxy_debug` mitmproxy logs all bytes on its wires, clients' own keys among them.
_CREDENTIAL = re.compile(
    r"((?:authorization|api-key|cookie)['\"]?(?::|, ?b?)[ '\"]*)[^'\"\\\r\n]+", re.IGNORECASE
)


def keep_secrets_out(redactor: Redactor) -> None:
    """From now on no log record of this process holds one of the redactor's secrets.

    Records are cleaned when they are made, so it does not matter who logs and who listens:
    mitmproxy's own debug output is covered too.
    """
    make = logging.getLogRecordFactory()

    def clean(text: str) -> str:
        return _CREDENTIAL.sub(r"\g<1>(hidden)", redactor.scrub(text))

    def make_clean(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        text = record.getMessage()
        if record.exc_info:
            trace = "".join(traceback.format_exception(*record.exc_info))
            if clean(trace) != trace:
                text, record.exc_info = f"{text}\n{trace}", None
        text = clean(text)
        if text != record.msg:
            record.msg, record.args = text, ()
        return record

    logging.setLogRecordFactory(make_clean)
    for chatty in ("httpx", "httpcore"):  # a line for each list of models; mitmproxy logs at DEBUG
        logging.getLogger(chatty).setLevel(logging.WARNING)


def write_to(path: Path) -> None:
    """Append records of level INFO and above to a file; OSError if it cannot be opened."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
