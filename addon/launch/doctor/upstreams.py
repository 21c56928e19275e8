"""Whether the upstreams can be reached, and take their keys: all are asked at once."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx

from addon.launch.doctor.findings import Finding, Severity, Subject
from backends.backend import Backend, UpstreamRequest
from backends.keys import Key
from backends.model_id import BackendName
from backends.vendors.registry import KEY_VARIABLES, VENDORS, make_backends

TIMEOUT_S = 3.0

_REFUSALS = (400, 401, 403)  # Gemini answers 400 to a wrong key


def check_upstreams(subject: Subject) -> Iterator[Finding]:
    """A finding for each key."""
    settings = subject.settings
    if settings.playback or settings.is_demo:
        yield Finding(Severity.OK, "upstreams: none is asked, so no key is needed")
        return
    if not settings.api_keys:
        fix = f"set {KEY_VARIABLES}, in ~/.config/llm-proxy/.env for good"
        yield Finding(Severity.PROBLEM, "upstreams: there is no key", f"{fix}; or use --demo")
    backends = make_backends(settings.base_urls)
    questions = [
        _Question(name, backends[name], key)
        for name, keys in settings.api_keys.items()
        for key in keys
    ]
    deadline = time.monotonic() + TIMEOUT_S
    for question in questions:
        question.start()
    for question in questions:
        question.join(max(0, deadline - time.monotonic()))
        yield question.finding


class _Question(threading.Thread):
    """One key's trial. A daemon: the wait for a name server cannot be cut short in another way."""

    def __init__(self, name: BackendName, backend: Backend, key: Key) -> None:
        super().__init__(daemon=True)
        self._key = key
        self._title = backend.title
        models = backend.models_request(key, None)
        path = VENDORS[name].key_path
        about_key = [replace(models, url=models.url.removesuffix("/models") + path)] if path else []
        # A gateway in the vendor's place may not know that path, and is asked for its models.
        self._requests = [*about_key, models]
        self.finding = self._unreachable(models, f"no answer within {TIMEOUT_S:.0f} s")

    def run(self) -> None:
        for request in self._requests:
            try:
                answer = _ask(request)
            except (httpx.HTTPError, OSError) as error:
                self.finding = self._unreachable(request, str(error) or type(error).__name__)
                return
            if answer.status_code != httpx.codes.NOT_FOUND:
                break
        self.finding = self._judge(answer)

    def _judge(self, answer: httpx.Response) -> Finding:
        if answer.status_code in _REFUSALS:
            text = f"{self._title}: refuses the key {self._key.name} (HTTP {answer.status_code})"
            return Finding(Severity.PROBLEM, text, "replace the key by one that is valid")
        if answer.status_code != httpx.codes.OK:
            text = f"{self._title}: HTTP {answer.status_code} from {answer.url.host}"
            return Finding(Severity.PROBLEM, text, "look at its address, or try again later")
        return Finding(Severity.OK, f"{self._title}: takes the key {self._key.name}")

    def _unreachable(self, request: UpstreamRequest, reason: str) -> Finding:
        text = f"{self._title}: cannot reach {httpx.URL(request.url).host} ({reason})"
        return Finding(
            Severity.PROBLEM, text, "look at the network, or at the address in the settings"
        )


def _ask(request: UpstreamRequest) -> httpx.Response:
    headers = request.all_headers()
    # HTTPS_PROXY may point at the proxy, hence no settings from the environment.
    return httpx.request(
        request.method, request.url, headers=headers, trust_env=False, timeout=TIMEOUT_S
    )
