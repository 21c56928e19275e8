"""The proxy serves whatever becomes of its output: narrow, closed, full, or without a reader."""

import os
import subprocess
from pathlib import Path

import pytest

from addon.demo.simulator import json_answer
from tests.e2e.test_process import LLM_PROXY, MITMDUMP, SCRIPT, ask
from tests.harness import ENVIRON
from tests.process import READY, clean_environ, running_process
from tests.upstream import UpstreamThread, eventually

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell starts the processes")


def environ_of(upstream: UpstreamThread) -> dict[str, str]:
    return {**ENVIRON, "OPENROUTER_API_BASE_URL": upstream.simulator.openrouter_url}


@pytest.mark.parametrize("command", [[*LLM_PROXY, "--"], [*MITMDUMP, *SCRIPT]], ids=["own", "-s"])
def test_an_error_that_the_output_cannot_encode(
    tmp_path: Path, confdir: Path, upstream: UpstreamThread, command: list[str]
) -> None:
    environ = environ_of(upstream) | {"PYTHONIOENCODING": "ascii"}
    upstream.script(json_answer({"error": {"message": "中 \x1b[2J", "code": 400}}, 400))
    command = [*command, "--set", f"confdir={confdir}"]
    with running_process(tmp_path, command, environ) as process:
        answer = ask(process.url)
    assert answer.status_code == 400
    assert "中" in answer.json()["error"]["message"]
    output = (tmp_path / "output.txt").read_text()
    assert r": 400 \u4e2d \x1b[2J" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&- <&-", ">/dev/full 2>&1", "(no reader)"])
def test_it_runs_without_output(
    tmp_path: Path, confdir: Path, upstream: UpstreamThread, redirection: str
) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    shell = "" if redirection == "(no reader)" else redirection
    command = [*LLM_PROXY, "--log", "proxy.log", "--", "--set", f"confdir={confdir}"]
    popen = subprocess.Popen(
        ["bash", "-c", f'exec "$@" {shell}', "-", *command],
        cwd=tmp_path,
        env=clean_environ(environ_of(upstream) | {"PROXY_PORT": "0"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    log = tmp_path / "proxy.log"
    try:
        assert popen.stdout
        if not shell:
            popen.stdout.readline()
        popen.stdout.close()
        assert eventually(lambda: log.exists() and "ready" in log.read_text())
        found = READY.search(log.read_text())
        assert found
        assert [ask(found[1]).status_code for _ in range(3)] == [200] * 3
    finally:
        popen.terminate()
        assert popen.wait(20) == 0


@pytest.mark.parametrize("command", [LLM_PROXY, [*MITMDUMP, *SCRIPT]], ids=["llm-proxy", "-s"])
def test_a_log_into_nowhere_is_one_line_and_an_exit_code(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "proxy.yaml").write_text("log: nowhere/log")
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environ({"PROXY_PORT": "0"}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stderr == "nowhere/log: cannot log to it: No such file or directory\n"
    assert ended.returncode == (2 if command is LLM_PROXY else 1)


@pytest.mark.parametrize("option", [[], ["--", "--set", "confdir=file/x"]], ids=["home", "confdir"])
def test_a_ca_that_cannot_be_made_is_one_line_and_an_exit_code(
    tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "file").touch()
    environ = clean_environ({"HOME": str(tmp_path / "file"), "PROXY_PORT": "0"})
    ended = subprocess.run(
        [*LLM_PROXY, "--demo", *option],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "mitmproxy-ca.pem: cannot read or create the CA: Not a directory" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "ready" not in ended.stdout
    assert ended.returncode == 1
