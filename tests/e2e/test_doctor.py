"""What `llm-proxy doctor` finds, against the simulated upstreams."""

import os
from pathlib import Path

import pytest

from addon import cli
from addon.demo.simulator import Hang, ScriptedResponse, json_answer
from addon.launch.doctor.findings import Severity
from tests.harness import ENVIRON, GEMINI_KEY, UPSTREAM_KEY, RunningProxy
from tests.upstream import UpstreamThread

KEY_PATH = "/api/v1/key"
CLOSED = "http://127.0.0.1:9"  # the discard service, which nobody runs


class Diagnosis:
    """The findings' texts by severity, and the fixes."""

    def __init__(self, code: int, output: str) -> None:
        lines = output.splitlines()
        self.code = code
        self.fixes = [line.partition("-> ")[2] for line in lines if line.startswith(" ")]
        self.ok, self.warnings, self.problems = (
            [line.removeprefix(severity).strip() for line in lines if line.startswith(severity)]
            for severity in Severity
        )
        assert UPSTREAM_KEY not in output
        assert GEMINI_KEY not in output


class Examine:
    """A run of the doctor in an environment with keys that are good."""

    def __init__(
        self,
        directory: Path,
        upstream: UpstreamThread,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._upstream = upstream
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(directory)

    def __call__(
        self, *arguments: str, key: ScriptedResponse | None = None, **environ: str
    ) -> Diagnosis:
        self._upstream.script(key or json_answer({"data": {"label": "x"}}), path=KEY_PATH)
        simulator = self._upstream.simulator
        defaults = ENVIRON | {
            "PATH": os.defpath,
            "PROXY_PORT": "0",
            "OPENROUTER_API_BASE_URL": simulator.openrouter_url,
            "GEMINI_API_BASE_URL": simulator.gemini_url,
        }
        given = {name: value for name, value in (defaults | environ).items() if value}
        with self._monkeypatch.context() as patch:
            patch.setattr("os.environ", given)
            code = cli.main(["doctor", *arguments])
        return Diagnosis(code, self._capsys.readouterr().out)


@pytest.fixture
def examine(
    tmp_path: Path,
    upstream: UpstreamThread,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Examine:
    return Examine(tmp_path, upstream, monkeypatch, capsys)


def has(lines: list[str], *parts: str) -> bool:
    return any(all(part in line for part in parts) for line in lines)


def test_all_is_well(examine: Examine) -> None:
    found = examine()
    assert (found.code, found.problems) == (0, [])
    assert has(found.ok, "OpenRouter: accepts the key OPENROUTER_API_KEY")
    assert has(found.ok, "Google Gemini: accepts the key GEMINI_API_KEY")
    assert has(found.ok, "is free")
    assert has(found.ok, "environment: nothing")


def test_a_refused_key_and_an_upstream_that_is_not_there(examine: Examine) -> None:
    refusal = json_answer({"error": {"code": 401, "message": "User not found."}}, 401)
    found = examine(key=refusal, GEMINI_API_BASE_URL=CLOSED)
    assert found.code == 1
    assert has(found.problems, "OpenRouter: rejects the key OPENROUTER_API_KEY (HTTP 401)")
    assert has(found.problems, "Google Gemini: cannot reach 127.0.0.1")
    assert len(found.problems) == 2


def test_a_gateway_that_knows_nothing_of_keys_is_asked_for_its_models(examine: Examine) -> None:
    found = examine(key=json_answer({"error": "no such path"}, 404))
    assert has(found.ok, "OpenRouter: accepts the key")


def test_a_silent_upstream_is_not_waited_for(examine: Examine) -> None:
    found = examine(key=ScriptedResponse(steps=(Hang(),)), GEMINI_API_KEY="")
    assert has(found.problems, "OpenRouter: cannot reach 127.0.0.1")


def test_without_keys(examine: Examine) -> None:
    found = examine(OPENROUTER_API_KEY="", GEMINI_API_KEY="")
    assert has(found.problems, "no API key")
    assert has(found.fixes, "OPENROUTER_API_KEY or GEMINI_API_KEY")
    assert examine("--demo", OPENROUTER_API_KEY="", GEMINI_API_KEY="").code == 0


def test_wrong_settings(examine: Examine) -> None:
    found = examine(PROXY_TIMEOUT="soon")
    assert found.code == 1
    assert has(found.problems, "PROXY_TIMEOUT=soon")


def test_an_environment_that_leads_elsewhere(examine: Examine, tmp_path: Path) -> None:
    bundle = tmp_path / "corporate.pem"
    bundle.write_text("no certificate")
    found = examine(
        "--demo",
        HTTPS_PROXY="http://me:secret@proxy.corp:3128",
        https_proxy="http://127.0.0.1:1",
        NO_PROXY=".openai.com",
        OPENAI_BASE_URL="https://llm.corp/v1",
        OPENAI_API_BASE="https://api.openai.com/v1",
        SSL_CERT_FILE=str(bundle),
    )
    assert has(found.warnings, "HTTPS_PROXY points at proxy.corp:3128,")
    assert has(found.warnings, "HTTPS_PROXY and https_proxy differ")
    assert has(found.warnings, "NO_PROXY bypasses the proxy for api.openai.com")
    assert has(found.warnings, "OPENAI_BASE_URL points at llm.corp,")
    assert not has(found.warnings, "OPENAI_API_BASE")
    assert has(found.warnings, "missing from the file in SSL_CERT_FILE")
    assert not has(found.warnings, "secret")
    assert found.code == 0


@pytest.mark.parametrize(("agent", "ignores"), [("opencode", True), ("codex", False)])
def test_all_proxy_is_enough_for_some(examine: Examine, agent: str, ignores: bool) -> None:
    found = examine(agent, "--demo", ALL_PROXY="http://127.0.0.1:0")
    assert has(found.warnings, "ALL_PROXY alone is not enough") is ignores


@pytest.mark.parametrize("script", ["echo codex-cli 9.8.7; echo more", "exit 1"])
def test_an_agent_and_its_version(examine: Examine, tmp_path: Path, script: str) -> None:
    program = tmp_path / "codex"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    found = examine("codex", "--demo", PATH=f"{tmp_path}:{os.defpath}")
    version = "codex-cli 9.8.7" if "9.8.7" in script else "version unknown"
    assert has(found.ok, f"codex: {program}", version)
    assert has(found.warnings, "begins with ! as a shell")
    assert has(found.fixes, "'. !/help'")


def test_an_agent_that_is_not_there(examine: Examine) -> None:
    found = examine("codex", "--demo", COMMAND_PREFIX="%/", PATH="/nowhere")
    assert found.code == 1
    assert has(found.problems, "program codex not found")
    assert not has(found.warnings, "begins with !")


def test_the_proxy_that_runs(examine: Examine, proxy: RunningProxy) -> None:
    found = examine("--demo", "--port", str(proxy.port))
    assert has(found.ok, f"the proxy runs at {proxy.url} and accepts the client key")
    found = examine("--demo", "--port", str(proxy.port), LLM_INTERACTIVE_PROXY_API_KEY="wrong-key")
    assert has(found.warnings, "requires another client key")


def test_a_port_that_another_program_has(examine: Examine, upstream: UpstreamThread) -> None:
    found = examine("--demo", "--port", upstream.simulator.url.rpartition(":")[2])
    assert has(found.problems, "another program uses")
