"""The one error class: every failure of the proxy or an upstream, in OpenAI's error format.

It carries what the error body and the HTTP head need. So errors have one shape, before and inside
a stream.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# HTTP status -> (type, code) of OpenAI's error object. SDKs and coding agents branch on these.
# Other statuses fall back to their class (4xx, 5xx).
KINDS: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("authentication_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", "permission_denied"),
    404: ("invalid_request_error", None),
    405: ("invalid_request_error", "method_not_allowed"),
    408: ("timeout_error", "timeout"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "overloaded"),
    504: ("timeout_error", "timeout"),
    524: ("timeout_error", "timeout"),
    529: ("server_error", "overloaded"),
}


class ApiError(Exception):
    """An error response. `status` is an HTTP status in 400..599.

    The response repeats `headers`, such as `retry-after`. `extra` joins OpenAI's four keys in the
    error object: an upstream's other fields, such as OpenRouter's `metadata`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        default_type, default_code = KINDS.get(
            status, ("invalid_request_error" if status < 500 else "server_error", None)
        )
        self.status = status
        self.message = message
        self.type = type or default_type
        self.code = code or default_code
        self.param = param
        self.headers = tuple(headers)
        self.extra = dict(extra or {})

    def body(self) -> dict[str, Any]:
        """`{"error": {"message", "type", "param", "code", ...}}`; `code` is a string or null."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
                **self.extra,
            }
        }


# Bounded and without a second repeat: a hostile page costs linear time.
_PAGE_TITLE = re.compile(rb"<title>([^<]{1,200})", re.IGNORECASE)


def describe_response(vendor: str, status: int, content_type: str, body: bytes) -> str:
    """The message for an error response without a known error in it; quotes an HTML title."""
    message = f"{vendor} answered with HTTP {status} and {content_type or 'no content type'}"
    page = _PAGE_TITLE.search(body)
    title = page[1].decode("utf-8", "replace").strip() if page else ""
    return f"{message}: {title}" if title else message


def error_status(value: object) -> int | None:
    """The HTTP status of an error in foreign JSON; None for anything else."""
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def bad_request(message: str, param: str | None = None) -> ApiError:
    """An error (400) in the client's request; `param` names the field at fault."""
    return ApiError(400, message, param=param)


def internal_error() -> ApiError:
    """A bug of ours, which the log tells more about."""
    return ApiError(500, "Internal error of the proxy; see its log")
