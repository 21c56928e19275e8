"""Lists the attempts of a prompt in order, and decides which failures lead to the next."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import BackendName
from commands.routing.attempt import Attempt, AttemptResult
from commands.routing.routes import Policy, Route

Keys = Mapping[BackendName, Sequence[Key]]
Element = tuple[BackendName, str]


def _first_element(elements: Sequence[Element], keys: Keys) -> Iterator[Attempt]:
    for backend, model in elements[:1]:
        yield from (Attempt(backend, model, key) for key in keys[backend])


def _first_key(elements: Sequence[Element], keys: Keys) -> Iterator[Attempt]:
    yield from (Attempt(backend, model, keys[backend][0]) for backend, model in elements)


def _by_element(elements: Sequence[Element], keys: Keys) -> Iterator[Attempt]:
    for backend, model in elements:
        yield from (Attempt(backend, model, key) for key in keys[backend])


def _by_key(elements: Sequence[Element], keys: Keys) -> Iterator[Attempt]:
    for number in range(max((len(keys[backend]) for backend, _ in elements), default=0)):
        for backend, model in elements:
            if number < len(keys[backend]):
                yield Attempt(backend, model, keys[backend][number])


POLICIES: Mapping[Policy, Callable[[Sequence[Element], Keys], Iterator[Attempt]]] = {
    "k": _first_element,
    "m": _first_key,
    "km": _by_element,
    "mk": _by_key,
}


def plan(route: Route, keys: Keys) -> list[Attempt]:
    """The attempts of a route in order, without elements whose backend has no key."""
    usable = [(each.backend, each.name) for each in route.elements if each.backend in keys]
    elements = [(backend, name) for backend, name in usable if backend]
    return list(dict.fromkeys(POLICIES[route.policy](elements, keys)))


def plan_model(backend: BackendName, model: str, keys: Keys) -> list[Attempt]:
    """The attempts without a route: each key of the backend."""
    return [Attempt(backend, model, key) for key in keys.get(backend, ())]


# Statuses that trigger failover. A wrong request (400, 404, 413, 422) fails at every upstream;
# connection errors and timeouts arrive here as 502 and 504.
KEY_ERRORS = frozenset({401, 402, 403, 429})
UPSTREAM_ERRORS = frozenset({408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


def should_try_next(error: ApiError, has_route: bool) -> bool:
    """Whether the next attempt may help. Without a route, it differs in the key only."""
    return error.status in KEY_ERRORS or (has_route and error.status in UPSTREAM_ERRORS)


def for_client(error: ApiError, title: str, key_name: str) -> ApiError:
    """The error with the proxy's key named, if an upstream refuses it: a 401 blames the client."""
    return _without_blame(error, f"{title} refused {key_name}: {error.message}")


def _without_blame(error: ApiError, message: str) -> ApiError:
    """The error with this message if it is about a key of the proxy, else the same error.

    OpenRouter's 403 with `reasons` is about the prompt, which its moderation has flagged.
    """
    metadata = error.extra.get("metadata")
    is_flagged = isinstance(metadata, dict) and "reasons" in metadata
    if error.status not in (401, 403) or is_flagged:
        return error
    # The SDKs repeat a 502, which does not help here.
    headers = (*error.headers, ("x-should-retry", "false"))
    return ApiError(
        502, message, code="upstream_authentication", headers=headers, extra=error.extra
    )


def all_failed(last: ApiError, attempts: Sequence[AttemptResult]) -> ApiError:
    """The error for the client: the last one, with the results of all attempts if several."""
    if len(attempts) < 2:
        return last
    message = f"All backends failed: {'; '.join(map(str, attempts))}"
    last = _without_blame(last, message)
    return ApiError(
        last.status,
        message,
        type=last.type,
        code=last.code,
        param=last.param,
        headers=last.headers,
        extra=last.extra,
    )
