"""Starts in a folder that a stranger may have filled: what is refused, told, left out, trusted."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from addon.loopback.script import json_answer
from tests.harness import CLIENT_KEY
from tests.process import ROOT, clean_environ, running_process
from tests.upstream import UpstreamThread

LLM_PROXY = [str(Path(sys.executable).with_name("llm-proxy"))]
MITMDUMP = [
    *(sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"),
    *("-s", str(ROOT / "addon" / "llm_proxy.py")),
]
STARTS = pytest.mark.parametrize("command", [LLM_PROXY, MITMDUMP], ids=["llm-proxy", "mitmdump -s"])
KEY_NAME = "LLM_INTERACTIVE_PROXY_API_KEY"
USER_KEY, FOLDER_KEY = "sk-or-v1-of-the-user", "sk-or-v1-of-the-folder"
CHAT = {"model": "openrouter:demo/echo", "messages": [{"role": "user", "content": "hi"}]}
# Which models there are the proxy asks its upstreams, with its keys.
AGENT = """
import json, os, httpx
proxy = httpx.URL(os.environ["HTTPS_PROXY"])
url, key = proxy.copy_with(userinfo=b"", path="/v1/models"), proxy.password
httpx.get(url, headers={"authorization": f"Bearer {key}"}, trust_env=False).raise_for_status()
print(json.dumps(dict(os.environ)))
"""


class Lab:
    """A home, a folder to start in, and the upstream at the address that the folder names."""

    def __init__(self, directory: Path, confdir: Path, upstream: UpstreamThread) -> None:
        self.home, self.folder = directory / "home", directory / "folder"
        self.own = self.home / ".config" / "llm-proxy"
        self.own.mkdir(parents=True)
        self.folder.mkdir()
        (self.home / ".mitmproxy").symlink_to(confdir)
        self.upstream = upstream
        self.address = upstream.simulator.openrouter_url
        self._seen = len(upstream.simulator.requests)

    @property
    def keys_sent(self) -> set[str]:
        """What has come to the upstream as credentials."""
        received = self.upstream.simulator.requests[self._seen :]
        return {each.header("authorization") or "" for each in received}

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        return {"HOME": str(self.home), KEY_NAME: CLIENT_KEY, **given}

    def run(self, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """A command that ends by itself, started in the folder."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environ(self.environ(environ)),
            capture_output=True,
            text=True,
            timeout=40,
        )

    def start_and_ask(self, command: Sequence[str], **environ: str) -> str:
        """Start a proxy in the folder and send it a prompt; returns what the proxy has said."""
        with running_process(self.folder, command, self.environ(environ)) as process:
            answer = httpx.post(
                f"{process.url}/v1/chat/completions",
                json=CHAT,
                headers={"authorization": f"Bearer {CLIENT_KEY}"},
                trust_env=False,
            )
            assert answer.status_code == 200, answer.text
        return (self.folder / "output.txt").read_text()

    def environ_of_agent(self, *arguments: str, **environ: str) -> Any:
        """What an agent finds in its environment; it has asked for the models."""
        ended = self.run(
            *LLM_PROXY, "run", *arguments, "--", sys.executable, "-c", AGENT, **environ
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture
def lab(tmp_path: Path, confdir: Path, upstream: UpstreamThread) -> Lab:
    return Lab(tmp_path, confdir, upstream)


# A plain start


@STARTS
@pytest.mark.parametrize("file", ["proxy.yaml", ".env"])
def test_a_start_that_would_hand_over_a_key_is_refused(
    lab: Lab, command: list[str], file: str
) -> None:
    line = {
        "proxy.yaml": f"openrouter_api_base_url: {lab.address}",
        ".env": f"OPENROUTER_API_BASE_URL={lab.address}",
    }[file]
    (lab.folder / file).write_text(line)
    ended = lab.run(*command, OPENROUTER_API_KEY=USER_KEY, PROXY_PORT="0")
    assert ended.returncode != 0
    [told] = ended.stderr.splitlines()
    assert told.startswith(file)
    assert lab.address in told
    assert "OPENROUTER_API_KEY (environment)" in told
    assert "--trust-folder" in told
    assert "LLM_PROXY_TRUST_FOLDER" in told
    assert not lab.keys_sent


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        ([*LLM_PROXY, "--trust-folder"], {}),
        (MITMDUMP, {"LLM_PROXY_TRUST_FOLDER": "true"}),
        ([*LLM_PROXY, "--settings", "proxy.yaml"], {}),
        (MITMDUMP, {"LLM_PROXY_SETTINGS": "proxy.yaml"}),
    ],
    ids=["--trust-folder", "the same for mitmdump -s", "--settings", "the same for mitmdump -s"],
)
def test_a_folder_that_is_trusted(lab: Lab, command: list[str], environ: dict[str, str]) -> None:
    (lab.folder / "proxy.yaml").write_text(
        f"openrouter_api_base_url: {lab.address}\nlog: own.log\nport: 0"
    )
    said = lab.start_and_ask(command, OPENROUTER_API_KEY=USER_KEY, **environ)
    assert lab.keys_sent == {f"Bearer {USER_KEY}"}
    assert "own.log" not in said


def test_key_and_address_of_the_same_folder(lab: Lab) -> None:
    (lab.folder / ".env").write_text(
        f"OPENROUTER_API_KEY={FOLDER_KEY}\nOPENROUTER_API_BASE_URL={lab.address}\n"
    )
    said = lab.start_and_ask(LLM_PROXY)
    assert lab.keys_sent == {f"Bearer {FOLDER_KEY}"}
    assert said.count(f".env: OPENROUTER_API_BASE_URL={lab.address}") == 1


@STARTS
def test_a_start_names_what_the_folder_decides_once(lab: Lab, command: list[str]) -> None:
    (lab.folder / "proxy.yaml").write_text("log: own.log\nintercept_hosts: [a.example]\ntimeout: 9")
    (lab.folder / ".env").write_text("REDACT_API_KEYS_IN_PROMPTS=false")
    environ = {"OPENROUTER_API_KEY": USER_KEY, "OPENROUTER_API_BASE_URL": lab.address}
    said = lab.start_and_ask(command, **environ)
    [warning] = [line for line in said.splitlines() if "this folder" in line]
    assert "proxy.yaml line 1: log: own.log" in warning
    assert "proxy.yaml line 2: intercept_hosts: ['a.example']" in warning
    assert ".env: REDACT_API_KEYS_IN_PROMPTS=false" in warning
    assert "timeout" not in warning
    assert "this folder" in (lab.folder / "own.log").read_text()


def test_a_folder_that_is_ignored(lab: Lab) -> None:
    (lab.folder / "proxy.yaml").write_text("nonsense: 1")
    environ = {"OPENROUTER_API_KEY": USER_KEY, "OPENROUTER_API_BASE_URL": lab.address}
    lab.start_and_ask([*LLM_PROXY, "--ignore-folder"], **environ)
    assert lab.keys_sent == {f"Bearer {USER_KEY}"}


def test_the_user_s_own_folder(lab: Lab) -> None:
    (lab.own / ".env").write_text(f"OPENROUTER_API_KEY={USER_KEY}")
    (lab.own / "proxy.yaml").write_text(
        f"openrouter_api_base_url: {lab.address}\nlog: {lab.home}/own.log"
    )
    said = lab.start_and_ask(LLM_PROXY)
    assert lab.keys_sent == {f"Bearer {USER_KEY}"}
    assert "own.log" not in said


# run, env and doctor


def fill_with_traps(lab: Lab) -> None:
    (lab.folder / ".env").write_text(f"OPENROUTER_API_BASE_URL={lab.address}\nDISABLE_AUTH=true")
    (lab.folder / "proxy.yaml").write_text("host: 127.0.0.9\nport: 9\nlog: own.log\nnonsense: 1")
    (lab.own / "proxy.yaml").write_text("openrouter_api_base_url: http://127.0.0.1:9")


def test_run_does_not_read_the_folder(lab: Lab) -> None:
    fill_with_traps(lab)
    environ = lab.environ_of_agent("--port=0", OPENROUTER_API_KEY=USER_KEY)
    assert f"{CLIENT_KEY}@127.0.0.1:" in environ["HTTPS_PROXY"]
    assert not lab.keys_sent
    assert not (lab.folder / "own.log").exists()


def test_env_does_not_read_the_folder(lab: Lab) -> None:
    fill_with_traps(lab)
    printed = lab.run(*LLM_PROXY, "env", "aider").stdout
    assert f"HTTPS_PROXY=http://x:{CLIENT_KEY}@127.0.0.1:8000\n" in printed


def test_the_doctor_does_not_read_the_folder_and_tells(lab: Lab) -> None:
    fill_with_traps(lab)
    said = lab.run(*LLM_PROXY, "doctor", "--port=0", OPENROUTER_API_KEY=USER_KEY).stdout
    assert f"settings: read from {lab.own}/proxy.yaml, not from .env and proxy.yaml here" in said
    assert "http://127.0.0.1:0 is free" in said
    assert "OpenRouter: cannot reach 127.0.0.1" in said
    assert not lab.keys_sent


def test_run_trusts_no_folder(lab: Lab) -> None:
    ended = lab.run(*LLM_PROXY, "run", "--trust-folder", "--", "true")
    assert ended.returncode == 2
    assert "--trust-folder" in ended.stderr


def test_run_reads_the_user_s_own_folder(lab: Lab) -> None:
    (lab.own / ".env").write_text(f"OPENROUTER_API_KEY={USER_KEY}")
    (lab.own / "proxy.yaml").write_text(f"openrouter_api_base_url: {lab.address}\nport: 0")
    lab.environ_of_agent()
    assert lab.keys_sent == {f"Bearer {USER_KEY}"}


def test_run_reads_the_file_that_it_is_told(lab: Lab) -> None:
    (lab.folder / ".env").write_text(
        f"OPENROUTER_API_KEY={FOLDER_KEY}\nOPENROUTER_API_BASE_URL={lab.address}\nPROXY_PORT=0"
    )
    lab.environ_of_agent("--settings", ".env")
    assert lab.keys_sent == {f"Bearer {FOLDER_KEY}"}


# What an agent, and a stranger, get to know


def test_an_agent_gets_no_configured_key(lab: Lab) -> None:
    environ = lab.environ_of_agent(
        "--demo",
        "--port=0",
        "--openrouter-api-key=sk-or-v1-of-the-flag",
        OPENROUTER_API_KEY=USER_KEY,
        GEMINI_API_KEY_4="AIza-of-the-user",
        AGENT_CONFIG=json.dumps({"key": USER_KEY, "other": "AIza-of-the-user", "keep": "this"}),
        COPY="sk-or-v1-of-the-flag",
    )
    assert "of-the" not in json.dumps(environ)
    assert json.loads(environ["AGENT_CONFIG"])["keep"] == "this"


@pytest.mark.parametrize("proof", [{}, {"proof": "00"}], ids=["none", "wrong"])
def test_a_stranger_on_the_port_is_not_shown_the_client_key(
    lab: Lab, proof: dict[str, object]
) -> None:
    simulator = lab.upstream.simulator
    before = len(simulator.requests)
    for _ in range(2):
        about = {"name": "llm-interactive-proxy", **proof}
        lab.upstream.script(json_answer(about), path="/")
    port = simulator.url.rpartition(":")[2]
    ended = lab.run(*LLM_PROXY, "run", "--port", port, "--", "true")
    assert ended.returncode == 125
    assert f"rejects the key in {KEY_NAME}" in ended.stderr
    said = lab.run(*LLM_PROXY, "doctor", "--demo", "--port", port).stdout
    assert "requires another client key" in said
    assert CLIENT_KEY not in str(simulator.requests[before:])
