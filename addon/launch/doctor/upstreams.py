"""Checks that the upstreams are reachable and accept their keys, all at the same time."""

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
    """A finding for each API key."""
    settings = subject.settings
    if settings.playback or settings.is_demo:
        yield Finding(Severity.OK, "upstreams: not used, so no API key is needed")
        return
    if not settings.api_keys:
        fix = f"set {KEY_VARIABLES}, permanently in ~/.config/llm-proxy/.env"
        yield Finding(
            Severity.PROBLEM, "upstreams: no API key is configured", f"{fix}; or use --demo"
        )
    backends = make_backends(settings.base_urls)
    checks = [
        _KeyCheck(name, backends[name], key)
        for name, keys in settings.api_keys.items()
        for key in keys
    ]
    deadline = time.monotonic() + TIMEOUT_S
    for check in checks:
        check.start()
    for check in checks:
        check.join(max(0, deadline - time.monotonic()))
        yield check.finding


class _KeyCheck(threading.Thread):
    """Tries one key. A daemon thread, because a name lookup cannot be cancelled."""

    def __init__(self, name: BackendName, backend: Backend, key: Key) -> None:
        super().__init__(daemon=True)
        self._key = key
        self._title = backend.title
        models = backend.models_request(key, None)
        path = VENDORS[name].key_path
        about_key = [replace(models, url=models.url.removesuffix("/models") + path)] if path else []
        # A gateway in the vendor's place may lack that path; then its models are requested.
        self._requests = [*about_key, models]
        self.finding = self._unreachable(models, f"no answer within {TIMEOUT_S:.0f} s")

    def run(self) -> None:
        for request in self._requests:
            try:
                response = _send(request)
            except (httpx.HTTPError, OSError) as error:
                self.finding = self._unreachable(request, str(error) or type(error).__name__)
                return
            if response.status_code != httpx.codes.NOT_FOUND:
                break
        self.finding = self._judge(response)

    def _judge(self, response: httpx.Response) -> Finding:
        if response.status_code in _REFUSALS:
            text = f"{self._title}: rejects the key {self._key.name} (HTTP {response.status_code})"
            return Finding(Severity.PROBLEM, text, "replace the key with a valid one")
        if response.status_code != httpx.codes.OK:
            text = f"{self._title}: HTTP {response.status_code} from {response.url.host}"
            return Finding(Severity.PROBLEM, text, "check its address, or try again later")
        return Finding(Severity.OK, f"{self._title}: accepts the key {self._key.name}")

    def _unreachable(self, request: UpstreamRequest, reason: str) -> Finding:
        text = f"{self._title}: cannot reach {httpx.URL(request.url).host} ({reason})"
        return Finding(Severity.PROBLEM, text, "check the network and the configured address")


def _send(request: UpstreamRequest) -> httpx.Response:
    headers = request.all_headers()
    # trust_env=False: HTTPS_PROXY may point at the proxy.
    return httpx.request(
        request.method, request.url, headers=headers, trust_env=False, timeout=TIMEOUT_S
    )
