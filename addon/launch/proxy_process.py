"""Finds the proxy for an agent, or starts one for as long as the agent runs."""

import contextlib
import io
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import IO

import httpx

from addon.exchange import private_files
from addon.launch.agents import PLACEHOLDER
from addon.launch.ca_bundle import CERTIFICATE, CONFDIR
from addon.launch.environment import Proxy
from addon.program.product import CLIENT_KEY_NAME, PRODUCT, local_url
from backends.keys import Key
from commands.config.model import Config

LOG = CONFDIR / "llm-proxy-run.log"
TIMEOUT_S = 3.0
"""A server on this machine that takes longer does not speak HTTP."""

_READY = re.compile(r"LLM proxy ready: HTTPS_PROXY=http://\S*:(\d+)")
_START_S, _STOP_S = 30.0, 10.0


class LaunchError(Exception):
    """Why an agent cannot be started, and what to do; shown to the user."""


class PortOwner(Enum):
    """What listens at an address."""

    NOBODY = "nobody"
    PROVEN = "knows our client key"
    OURS = "says that it is ours"
    STRANGER = "stranger"


def url_of(settings: Config, port: int) -> str:
    """The URL of a proxy with these settings. Raises LaunchError if its host does not resolve."""
    try:
        found = socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LaunchError(f"cannot listen on {settings.host}: {error.strerror}") from None
    return local_url(str(found[0][4][0]), port)


def port_owner(url: str, client_key: Key | None) -> PortOwner:
    """What listens at `url`; it never receives the client key."""
    nonce = secrets.token_hex()
    try:
        response = httpx.get(url, params={"nonce": nonce}, trust_env=False, timeout=TIMEOUT_S)
        about = response.json()
        name, proof = about["name"], about.get("proof")
    except httpx.ConnectError:
        return PortOwner.NOBODY
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return PortOwner.STRANGER
    if name != PRODUCT:
        return PortOwner.STRANGER
    is_proven = client_key is not None and proof == client_key.proof(nonce)
    return PortOwner.PROVEN if is_proven else PortOwner.OURS


def running_proxy(url: str, owner: PortOwner, settings: Config) -> Proxy | None:
    """The running proxy with the key to send; None if the configuration lacks its key."""
    known = settings.client_key
    if known and not settings.disable_auth:
        return Proxy(url, known.value) if owner is PortOwner.PROVEN else None
    proxy = Proxy(url, PLACEHOLDER)
    return proxy if accepts(proxy) else None


def accepts(proxy: Proxy) -> bool:
    """Whether a running proxy accepts this client key. Sends no request to an upstream."""
    response = httpx.get(
        f"{proxy.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {proxy.key}"},
        trust_env=False,
        timeout=TIMEOUT_S,
    )
    return response.status_code != httpx.codes.UNAUTHORIZED


def shows_another_ca(proxy: Proxy, llm_host: str) -> bool:
    """Whether a running proxy intercepts TLS with another CA than the one in `CONFDIR`."""
    context = ssl.create_default_context(cafile=CERTIFICATE)
    try:
        httpx.get(
            f"https://{llm_host}/v1/chat/completions",
            proxy=proxy.template_values["login"],
            verify=context,
            trust_env=False,
            timeout=TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    return False


@contextlib.contextmanager
def available_proxy(
    settings: Config, flags: Sequence[str], environ: Mapping[str, str]
) -> Iterator[tuple[Proxy, str]]:
    """Provide a proxy while the block runs, and a line about it for the user.

    `flags` and `environ` are for a proxy that it starts; they must lead to the same `settings`.
    Raises LaunchError if there is no usable proxy.
    """
    url = url_of(settings, settings.port)
    owner = port_owner(url, settings.client_key) if settings.port else PortOwner.NOBODY
    match owner:
        case PortOwner.STRANGER:
            raise LaunchError(
                f"another program uses {url}: choose another port with --port, 0 for any free one"
            )
        case PortOwner.OURS | PortOwner.PROVEN:
            yield (
                _running(url, owner, settings),
                f"using the proxy at {url}, with its own settings",
            )
        case PortOwner.NOBODY:
            key = settings.client_key.value if settings.client_key else secrets.token_urlsafe(24)
            with _started(flags, {**environ, CLIENT_KEY_NAME: key}) as port:
                url = url_of(settings, port)
                yield Proxy(url, key), f"started a proxy at {url}; its log is {LOG}"


def _running(url: str, owner: PortOwner, settings: Config) -> Proxy:
    if proxy := running_proxy(url, owner, settings):
        return proxy
    reason = (
        f"rejects the key in {CLIENT_KEY_NAME}"
        if settings.client_key
        else "requires a client key, and none is configured"
    )
    raise LaunchError(
        f"The proxy at {url} {reason}: set {CLIENT_KEY_NAME} to the client key that it printed, "
        "or start another one with --port=0"
    )


@contextlib.contextmanager
def _started(flags: Sequence[str], environ: Mapping[str, str]) -> Iterator[int]:
    """Run a proxy and yield its port. In a session of its own, because Ctrl-C is for the agent."""
    LOG.unlink(missing_ok=True)  # an earlier proxy may still write to its log
    file = private_files.append_to(LOG, is_new=True)
    with io.TextIOWrapper(io.BufferedWriter(file), "utf-8", line_buffering=True) as log:
        process = subprocess.Popen(
            # -P: modules in the working directory must not replace ours.
            [sys.executable, "-u", "-P", "-m", "addon.cli", "--ignore-folder", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environ,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert process.stdout
        rest: threading.Thread | None = None
        limit = threading.Timer(_START_S, process.kill)
        limit.start()
        try:
            port = _copy_until_ready(process.stdout, log)
            limit.cancel()
            rest = threading.Thread(target=log.writelines, args=[process.stdout])
            rest.start()
            yield port
        finally:
            limit.cancel()
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if rest:
                rest.join()


def _copy_until_ready(output: IO[str], log: IO[str]) -> int:
    """The port that the proxy logs. Raises LaunchError with its output if it ends before."""
    lines = []
    for line in output:
        log.write(line)
        lines.append(line)
        if found := _READY.search(line):
            return int(found[1])
    raise LaunchError(f"The proxy did not start:\n{''.join(lines).rstrip()}")
