"""Agents started with `run` and `env`: real processes, and a real proxy in front of the demo."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from addon.launch.agents import CA_VARIABLES, PLACEHOLDER
from tests.harness import CLIENT_KEY, UPSTREAM_KEY
from tests.process import RunningProcess, clean_environ, running_process
from tests.upstream import UpstreamThread

LLM_PROXY = str(Path(sys.executable).with_name("llm-proxy"))
KEY_NAME = "LLM_INTERACTIVE_PROXY_API_KEY"
RUN = ("run", "--demo", "--port=0")

AGENT = """
import json, os, signal, sys, httpx

def ask():
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    key = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    chat = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}
    return httpx.post(base + "/chat/completions", json=chat, headers=key).json()

def ask_once_more(*_):
    print(ask()["object"], flush=True)
    raise SystemExit(5)

if "--wait" in sys.argv:
    signal.signal(signal.SIGINT, ask_once_more)
    print(os.environ["HTTPS_PROXY"], flush=True)
    signal.pause()
print(json.dumps({"environ": dict(os.environ), "arguments": sys.argv[1:], "answer": ask()}))
"""


@pytest.fixture(scope="module")
def home(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where our CA is found as a user's is."""
    home = tmp_path_factory.mktemp("home")
    (home / ".mitmproxy").symlink_to(confdir)
    return home


@pytest.fixture
def agent(tmp_path: Path) -> str:
    program = tmp_path / "agent"
    program.write_text(f"#!{sys.executable}\n{AGENT}")
    program.chmod(0o700)
    return str(program)


@pytest.fixture(scope="module")
def running(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProcess]:
    directory = tmp_path_factory.mktemp("running")
    environ = {"HOME": str(home), KEY_NAME: CLIENT_KEY}
    with running_process(directory, [LLM_PROXY, "--demo"], environ) as process:
        yield process


def port_of(process: RunningProcess) -> str:
    return process.url.rpartition(":")[2]


def llm_proxy(
    home: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LLM_PROXY, *arguments],
        cwd=home,
        env=clean_environ({"HOME": str(home), **(environ or {})}),
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("mode", ["proxy", "base-url"])
def test_an_agent_with_a_proxy_of_its_own(home: Path, agent: str, mode: str) -> None:
    environ = {"OPENROUTER_API_KEY": UPSTREAM_KEY, "MY_COPY": UPSTREAM_KEY, "NO_PROXY": "*"}
    ended = llm_proxy(home, *RUN, "--mode", mode, "--", agent, "-x", "--", "y", environ=environ)
    assert ended.returncode == 0, ended.stderr
    assert "llm-proxy: started a proxy at http://127.0.0.1:" in ended.stderr
    told = json.loads(ended.stdout)
    assert told["answer"]["choices"][0]["message"]["content"].endswith("You said: hi")
    assert told["arguments"] == ["-x", "--", "y"]
    assert told["environ"]["MY_COPY"] == PLACEHOLDER
    assert UPSTREAM_KEY not in ended.stdout
    assert ("HTTPS_PROXY" in told["environ"]) is (mode == "proxy")


def test_it_uses_the_proxy_that_runs(home: Path, agent: str, running: RunningProcess) -> None:
    environ = {KEY_NAME: CLIENT_KEY}
    ended = llm_proxy(home, "run", "--port", port_of(running), "--", agent, environ=environ)
    assert f"using the proxy at {running.url}" in ended.stderr
    assert json.loads(ended.stdout)["answer"]["object"] == "chat.completion"


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_its_exit_code_is_the_agent_s(
    home: Path, running: RunningProcess, command: str, code: int
) -> None:
    arguments = ["run", "--port", port_of(running), "--", "sh", "-c", command]
    assert llm_proxy(home, *arguments, environ={KEY_NAME: CLIENT_KEY}).returncode == code


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "requires a client key, and none is configured"),
        ({KEY_NAME: "another-key"}, f"rejects the key in {KEY_NAME}"),
    ],
)
def test_a_proxy_whose_key_is_not_known_is_of_no_use(
    home: Path, running: RunningProcess, environ: dict[str, str], reason: str
) -> None:
    ended = llm_proxy(home, "run", "--port", port_of(running), "--", "true", environ=environ)
    assert ended.returncode == 125
    assert reason in ended.stderr
    assert f"set {KEY_NAME}" in ended.stderr


def test_a_port_that_another_program_has(home: Path, upstream: UpstreamThread) -> None:
    port = upstream.simulator.url.rpartition(":")[2]
    ended = llm_proxy(home, "run", "--demo", "--port", port, "--", "true")
    assert ended.returncode == 125
    assert "another program uses" in ended.stderr
    assert "--port" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--", "no-such-agent"], 127, "no-such-agent: not found"),
        ([], 2, "no agent given"),
        (["--port", "x", "--", "true"], 2, "--port x: must be"),
        (["--mode=base-url", "--", "claude"], 2, "claude-code cannot use --mode base-url"),
        (
            ["--host", "no.such.host.invalid", "--", "true"],
            125,
            "cannot listen on no.such.host.invalid",
        ),
    ],
)
def test_what_cannot_be_started(home: Path, arguments: list[str], code: int, said: str) -> None:
    ended = llm_proxy(home, "run", *arguments)
    assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_program_that_cannot_be_run(home: Path, agent: str, running: RunningProcess) -> None:
    Path(agent).write_text("#!/no/such/interpreter\n")
    arguments = ("run", "--port", port_of(running), "--", agent)
    ended = llm_proxy(home, *arguments, environ={KEY_NAME: CLIENT_KEY})
    assert ended.returncode == 126
    assert f"{agent}: No such file or directory" in ended.stderr


def test_a_proxy_that_does_not_start_says_why(home: Path, tmp_path: Path) -> None:
    ended = llm_proxy(home, *RUN, f"--log={tmp_path}/none/log", "--", "true")
    assert ended.returncode == 125
    assert "The proxy did not start:" in ended.stderr
    assert "No such file or directory" in ended.stderr


@pytest.mark.parametrize(
    ("number", "is_for_all", "code", "said"),
    [
        (signal.SIGINT, True, 5, "chat.completion\n"),  # Ctrl-C: the proxy is there till the end
        (signal.SIGTERM, False, 143, ""),
    ],
)
def test_signals_are_for_the_agent(
    home: Path, agent: str, number: int, is_for_all: bool, code: int, said: str
) -> None:
    process = subprocess.Popen(
        [LLM_PROXY, *RUN, "--", agent, "--wait"],
        cwd=home,
        env=clean_environ({"HOME": str(home)}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    url = process.stdout.readline().strip()
    if is_for_all:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert (process.stdout.read(), process.wait(20)) == (said, code)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{url.rpartition('@')[2]}/health", trust_env=False)


def test_the_bundle_has_ours_and_what_was_trusted_before(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "corporate.pem"
    own.write_text((home / ".mitmproxy" / "mitmproxy-ca-cert.pem").read_text())
    environ = {KEY_NAME: CLIENT_KEY, "SSL_CERT_FILE": str(own), "CURL_CA_BUNDLE": "/no/such/file"}
    assert llm_proxy(home, "env", "curl", environ=environ).returncode == 0
    bundle = home / ".mitmproxy" / "llm-proxy-ca-bundle.pem"
    assert bundle.stat().st_mode & 0o777 == 0o600
    blocks = bundle.read_text().split("-----END CERTIFICATE-----\n")[:-1]
    assert own.read_text().split("-----END")[0] in blocks
    assert len(set(blocks)) == len(blocks) > 100


def test_env_is_evaluated_by_a_shell(home: Path) -> None:
    key = "it's\"$HOME`a`\\"
    script = f'eval "$({LLM_PROXY} env opencode --mode base-url)" && env -0'
    environ = clean_environ({"HOME": str(home), KEY_NAME: key, "OPENAI_API_KEY": "old"})
    ended = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, check=True)
    shown = dict(line.split("=", 1) for line in ended.stdout.decode().split("\0") if line)
    assert shown["OPENAI_BASE_URL"] == "http://127.0.0.1:8000/v1"
    assert shown["OPENAI_API_KEY"] == key
    config = json.loads(shown["OPENCODE_CONFIG_CONTENT"])
    assert config["provider"]["openrouter"]["options"]["apiKey"] == key


def test_env_comments_on_what_is_no_variable(home: Path) -> None:
    environ = {KEY_NAME: CLIENT_KEY}
    printed = llm_proxy(home, "env", "codex", "--mode=base-url", environ=environ).stdout
    assert "# Start it with: codex -c model_provider=llm-proxy" in printed
    printed = llm_proxy(home, "env", "aider", environ=environ).stdout
    assert (
        f"# Set it for aider only, because the proxy reads it too: OPENROUTER_API_KEY={PLACEHOLDER}"
        in printed
    )
    assert all(f"export {name}=" in printed for name in CA_VARIABLES)


def test_env_prints_no_key_that_nobody_knows(home: Path) -> None:
    ended = llm_proxy(home, "env", "codex")
    assert ended.returncode == 1
    assert ended.stdout.startswith("# No client key is configured")
    assert KEY_NAME in ended.stderr


def test_the_doctor_knows_by_what_an_agent_trusts(home: Path) -> None:
    environ = {KEY_NAME: CLIENT_KEY}
    assert llm_proxy(home, "env", "codex", environ=environ).returncode == 0
    environ["NODE_EXTRA_CA_CERTS"] = str(home / ".mitmproxy" / "llm-proxy-ca-bundle.pem")
    environ["SSL_CERT_FILE"] = "/no/such/file"
    for agent, finding in (
        ("opencode", "ok       trust: NODE_EXTRA_CA_CERTS contains the CA"),
        ("codex", "warning  trust: the CA is missing from the file in SSL_CERT_FILE"),
    ):
        arguments = ("doctor", agent, "--demo", "--port=0")
        assert finding in llm_proxy(home, *arguments, environ=environ).stdout


def test_the_doctor_compares_the_ca(home: Path, tmp_path: Path, running: RunningProcess) -> None:
    environ = {KEY_NAME: CLIENT_KEY}
    assert llm_proxy(tmp_path, "env", "codex", environ=environ).returncode == 0  # makes a CA
    for directory, is_another in ((home, False), (tmp_path, True)):
        arguments = ("doctor", "--demo", "--port", port_of(running))
        found = llm_proxy(directory, *arguments, environ=environ).stdout
        assert "accepts the client key" in found
        assert ("does not use the CA in" in found) is is_another
