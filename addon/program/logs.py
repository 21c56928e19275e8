"""Logging: removes secrets from every record, and optionally writes records to a file."""

import logging
import re
import traceback
from pathlib import Path
from typing import Any

from backends.redact import Redactor

# With `proxy_debug` mitmproxy logs all bytes that it reads, including the clients' own keys.
_CREDENTIAL = re.compile(
    r"((?:authorization|api-key|auth-token|cookie)['\"]?(?::|, ?b?)[ '\"]*)[^'\"\\\r\n]+"
    r"|([?&][\w-]*(?:key|token|secret|signature|sig|code)=)[^&#\s'\"\\]+"
    r"|(insecure-api-key\.|\bsk-(?=[\w-]{16}))[\w-]+",
    re.IGNORECASE,
)


def keep_secrets_out(redactor: Redactor) -> None:
    """Remove the redactor's secrets from all later log records of this process.

    A record factory does it, so it covers every logger and handler, mitmproxy's debug output too.
    """
    make = logging.getLogRecordFactory()

    def clean(text: str) -> str:
        return _CREDENTIAL.sub(r"\g<1>\g<2>\g<3>(hidden)", redactor.scrub(text))

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
    for chatty in ("httpx", "httpcore"):  # they log each request for a list of models
        logging.getLogger(chatty).setLevel(logging.WARNING)


def write_to(path: Path) -> None:
    """Append records of level INFO and above to a file. Raises OSError if it cannot be opened."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
