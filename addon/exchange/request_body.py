"""Reads request bodies within the limit of the setting `max_body_mib`."""

from mitmproxy import http

from addon.exchange import content_coding
from backends.errors import ApiError, bad_request


def read(request: http.Request, max_bytes: int) -> bytes:
    """The decoded body of a request. Raises ApiError if it is malformed or over the limit."""
    encoding = request.headers.get("content-encoding", "")
    try:
        return content_coding.decode(request.raw_content or b"", encoding, max_bytes)
    except content_coding.UnknownCoding as error:
        raise ApiError(415, str(error)) from None
    except content_coding.Malformed as error:
        raise bad_request(str(error)) from None
    except content_coding.TooLarge:
        raise too_large(max_bytes) from None


def too_large(max_bytes: int) -> ApiError:
    """The error for a body over the limit."""
    mib = max_bytes / 2**20
    return ApiError(413, f"The request body is larger than {mib:g} MiB (setting max_body_mib)")
