"""What can go wrong on the way to an answer, and how it is told to the client.

There is one error class. It carries what OpenAI's error body and the HTTP head need, so that every
failure, ours or an upstream's, before or inside a stream, is written in one shape at one place.
"""

from collections.abc import Iterable, Mapping
from typing import Any

# HTTP status -> (type, code) of OpenAI's error object. Types and codes are those that the SDKs and
# coding agents branch on; a status that is not listed falls back to its class (4xx, 5xx).
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
    """A failure as the client is told of it.

    `status` is an HTTP status in 400..599. `headers` are passed on with the answer (`retry-after`
    and the like). `extra` is added to the error object beside OpenAI's four keys, for what an
    upstream told us beyond them (OpenRouter's `metadata`).
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


def bad_request(message: str, param: str | None = None) -> ApiError:
    """The client's request cannot be served as it is; `param` names the field at fault."""
    return ApiError(400, message, param=param)


def internal_error() -> ApiError:
    """A bug of ours, which the log tells more about."""
    return ApiError(500, "Internal error of the proxy; see its log")
