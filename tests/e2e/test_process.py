"""Started as users start it: as a console script, as mitmdump's script, with wrong settings."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.harness import CLIENT_KEY, ENVIRON
from tests.process import ROOT, clean_environ, running_process
from tests.upstream import UpstreamThread

CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}
LLM_PROXY = [str(Path(sys.executable).with_name("llm-proxy"))]
MITMDUMP = [sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"]
MITMWEB = [sys.executable, "-c", "from mitmproxy.tools.main import mitmweb; mitmweb()"]
SCRIPT = ["-s", str(ROOT / "addon" / "llm_proxy.py")]


def ask(url: str, key: str = CLIENT_KEY) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers, trust_env=False)


@pytest.mark.parametrize(
    "command",
    [
        LLM_PROXY,
        [*LLM_PROXY, "--web", "--", "--set", "web_open_browser=false", "--set", "web_port=0"],
        [*MITMDUMP, *SCRIPT],
        [*MITMWEB, *SCRIPT, "--set", "web_open_browser=false", "--set", "web_port=0"],
    ],
    ids=["llm-proxy", "llm-proxy --web", "mitmdump -s", "mitmweb -s"],
)
def test_every_way_to_start(
    tmp_path: Path, confdir: Path, upstream: UpstreamThread, command: list[str]
) -> None:
    separator = [] if "--" in command or "-s" in command else ["--"]
    command = [*command, *separator, "--set", f"confdir={confdir}"]
    environ = ENVIRON | {"OPENROUTER_API_BASE_URL": upstream.simulator.openrouter_url}
    with running_process(tmp_path, command, environ) as process:
        assert process.url.startswith("http://127.0.0.1:")
        assert ask(process.url).json()["choices"][0]["message"]["content"]


def test_demo_without_any_key(tmp_path: Path, confdir: Path) -> None:
    """The printed curl line works when pasted."""
    command = [*LLM_PROXY, "--demo=auto", "--", "--set", f"confdir={confdir}"]
    with running_process(tmp_path, command, {}, until="restart") as process:
        output = (tmp_path / "output.txt").read_text()
        line = re.findall(r"  curl .*?}'\n", output, re.DOTALL)[0]
        answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert process.url in line
        assert "Hello!" in answer.stdout.replace('"}}]}', "")
        assert answer.stdout.endswith("data: [DONE]\n\n")


def test_without_any_key_a_prompt_names_the_variable(tmp_path: Path, confdir: Path) -> None:
    command = [*LLM_PROXY, "--", "--set", f"confdir={confdir}"]
    environ = {"LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY}
    with running_process(tmp_path, command, environ) as process:
        answer = ask(process.url)
    assert answer.status_code == 400
    assert "set OPENROUTER_API_KEY" in answer.json()["error"]["message"]


@pytest.mark.parametrize("command", [LLM_PROXY, [*MITMDUMP, *SCRIPT]], ids=["llm-proxy", "-s"])
def test_a_wrong_setting_is_one_line_and_an_exit_code(tmp_path: Path, command: list[str]) -> None:
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environ({"PROXY_PORT": "abc"}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode != 0
    assert len(ended.stderr.splitlines()) == 1
    assert "PROXY_PORT=abc" in ended.stderr


@pytest.mark.parametrize("command", [LLM_PROXY, [*MITMDUMP, *SCRIPT]], ids=["llm-proxy", "-s"])
def test_a_broken_state_file_is_one_line_too(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "state.yaml").write_text("failover_routes: {x: {policy: zz}}")
    (tmp_path / "proxy.yaml").write_text("config: state.yaml")
    ended = subprocess.run(
        command, cwd=tmp_path, env=clean_environ({}), capture_output=True, text=True, timeout=30
    )
    assert ended.returncode != 0
    assert len(ended.stderr.splitlines()) == 1
    assert "state.yaml line 1" in ended.stderr


@pytest.mark.parametrize("script", [False, True], ids=["llm-proxy", "-s"])
@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        (["--mode", "socks5@0.0.0.0:0"], {}, "cannot show the client key"),
        (["--mode", "reverse:http://x@0.0.0.0:0"], {}, "cannot show the client key"),
        (["--mode", "transparent", "--listen-host", "::"], {}, "cannot show the client key"),
        (["--mode", "regular@0.0.0.0:0"], {"DISABLE_AUTH": "true"}, "because of disable_auth"),
        (["--listen-host", "0.0.0.0"], {"DISABLE_AUTH": "true"}, "because of disable_auth"),
    ],
)
def test_no_way_in_without_a_key_is_one_line_and_an_exit_code(
    tmp_path: Path, script: bool, options: list[str], environ: dict[str, str], says: str
) -> None:
    command = [*MITMDUMP, "-p", "0", *SCRIPT] if script else [*LLM_PROXY, "--"]
    command += ["--set", f"confdir={tmp_path}", *options]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environ({"PROXY_PORT": "0", **environ}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if "loopback" in line)
    assert says in line


def test_listening_options_of_mitmdump_win(tmp_path: Path, confdir: Path) -> None:
    command = [*MITMDUMP, *SCRIPT, "--set", f"confdir={confdir}", "--listen-host", "localhost"]
    with running_process(tmp_path, command, {}) as process:
        assert httpx.get(f"{process.url}/health", trust_env=False).json() == {"status": "ok"}


def test_it_tells_its_version_and_the_addon_s_path() -> None:
    def run(flag: str) -> str:
        return subprocess.run(
            [*LLM_PROXY, flag], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert re.fullmatch(r"llm-proxy \S+ \(mitmproxy 12\.\S+, Python 3\.\S+\)", run("--version"))
    assert Path(run("--addon-path")) == ROOT / "addon" / "llm_proxy.py"
