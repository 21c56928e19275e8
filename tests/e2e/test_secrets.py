"""No configured key shows up in anything that the proxy writes or shows."""

import logging
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from mitmproxy import contentviews
from mitmproxy.tools.web.app import flow_to_json

from addon.demo.simulator import json_answer, sse_answer
from addon.exchange import flow_record
from backends.redact import PLACEHOLDER
from tests.harness import (
    CLIENT_KEY,
    ENVIRON,
    GEMINI_KEY,
    UPSTREAM_KEY,
    RunningProxy,
    running_proxy,
)
from tests.process import running_process
from tests.upstream import UpstreamThread

LLM_PROXY = str(Path(sys.executable).with_name("llm-proxy"))
SECRETS = (CLIENT_KEY, UPSTREAM_KEY, GEMINI_KEY)


def test_no_key_in_output_logs_or_saved_flows(
    tmp_path: Path, confdir: Path, upstream: UpstreamThread
) -> None:
    """The most talkative run there is; afterwards everything it has written is searched."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("sessions: {log_dir: sessions}")
    environ = ENVIRON | {
        "OPENROUTER_API_BASE_URL": upstream.simulator.openrouter_url,
        "GEMINI_API_BASE_URL": upstream.simulator.gemini_url,
        "PROXY_TIMEOUT": "5",
        "LLM_PROXY_SETTINGS": str(settings),
    }
    mitmproxy_flags = [
        *("--set", f"confdir={confdir}", "-w", "flows.mitm", "--set", "hardump=flows.har"),
        *("-v", "--set", "flow_detail=4", "--set", "proxy_debug=true"),
    ]
    with running_process(
        tmp_path, [LLM_PROXY, "--log", "proxy.log", "--", *mitmproxy_flags], environ
    ) as process:
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        client = httpx.Client(base_url=process.url, headers=headers, trust_env=False)
        chat = {"messages": [{"role": "user", "content": "hi"}]}
        for model in (
            "demo/echo",
            "demo/error-401",
            "demo/error-mid-stream",
            "gemini:gemini-2.5-pro",
        ):
            for stream in (False, True):
                client.post("/v1/chat/completions", json=chat | {"model": model, "stream": stream})
        client.get("/v1/models")
        address = process.url.replace("//", f"//x:{CLIENT_KEY}@")
        verify = ssl.create_default_context(cafile=confdir / "mitmproxy-ca-cert.pem")
        with httpx.Client(proxy=address, verify=verify, trust_env=False) as tunnel:
            url = "https://api.openai.com/v1/chat/completions"
            assert tunnel.post(url, json=chat).status_code == 200
        client.post("/v1/chat/completions", content=b"no JSON")
        # Keys in a prompt, and in what an upstream says.
        told = {"role": "user", "content": f"{UPSTREAM_KEY} {GEMINI_KEY} {CLIENT_KEY}"}
        client.post("/v1/chat/completions", json={"model": "demo/echo", "messages": [told]})
        error = {"error": {"code": 400, "message": f"bad key {UPSTREAM_KEY}"}}
        upstream.script(json_answer(error, 400), json_answer(error), sse_answer(error))
        for stream in (False, False, True):
            answer = client.post("/v1/chat/completions", json=chat | {"stream": stream})
            assert "bad key (API_KEY_HAS_BEEN_REDACTED)" in answer.text
        why = {"messages": [{"role": "user", "content": "!/why"}]}
        assert UPSTREAM_KEY not in client.post("/v1/chat/completions", json=why).text
    assert upstream.simulator.requests[-1].header("authorization") == f"Bearer {UPSTREAM_KEY}"
    written = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"output.txt", "proxy.log", "flows.mitm", "flows.har", "default.jsonl"} <= written.keys()
    assert b"demo/error-401" in written["flows.mitm"]
    assert b"chat/completions" in written["output.txt"]
    for name, content in written.items():
        for secret in SECRETS:
            assert secret.encode() not in content, f"{secret} in {name}"
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "from mitmproxy.tools.main import mitmdump; mitmdump()",
            "-n",
            "-r",
            str(tmp_path / "flows.mitm"),
            "--set",
            "flow_detail=4",
        ],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert b"(OPENROUTER_API_KEY)" in shown
    assert not [secret for secret in SECRETS if secret.encode() in shown]


def test_no_key_in_flows_views_or_exports(
    confdir: Path, upstream: UpstreamThread, caplog: pytest.LogCaptureFixture
) -> None:
    """What mitmweb gets to see, prompts with keys in them included, and what can be exported."""
    agents_own = "sk-the-agent-has-its-own"
    url = upstream.simulator.openrouter_url
    gemini_url = upstream.simulator.gemini_url
    told = f"{UPSTREAM_KEY} {GEMINI_KEY} {CLIENT_KEY}"
    with running_proxy(
        confdir, with_view=True, openrouter_api_base_url=url, gemini_api_base_url=gemini_url
    ) as proxy:
        caplog.set_level(logging.DEBUG)
        address = proxy.url.replace("//", f"//x:{CLIENT_KEY}@")
        verify = ssl.create_default_context(cafile=proxy.ca)
        headers = {"authorization": f"Bearer {agents_own}", "cookie": f"id={agents_own}"}
        with httpx.Client(proxy=address, verify=verify, headers=headers, trust_env=False) as client:
            for model in ("demo/echo", "demo/error-401", "gemini:gemini-2.5-pro", told):
                for stream in (False, True):
                    client.post(
                        "https://api.openai.com/v1/chat/completions",
                        json={
                            "model": model,
                            "stream": stream,
                            "messages": [{"role": "user", "content": f"!/status {told}"}],
                        },
                    )
        upstream.script(json_answer({"choices": [{"message": {"content": f"It is {told}"}}]}))
        with proxy.client() as client:
            chat = {"messages": [{"role": "user", "content": "hi"}]}
            client.post("/v1/chat/completions", json=chat)
        shown = [caplog.text]
        for flow in proxy.flows:
            shown += [str(flow_to_json(flow)), str(flow.get_state())]
            shown += [str(flow_record.load(flow, side)) for side in flow_record.CAPTURES]
            shown += [
                contentviews.prettify_message(message, flow, view).text
                for message in (flow.request, flow.response)
                for view in ("auto", "raw", "LLM client", "LLM upstream", "LLM edit")
            ]
            shown += [
                proxy.command("export", form, f"@{flow.id}")
                for form in ("curl", "httpie", "raw", "raw_request", "raw_response")
            ]
    assert any("(OPENROUTER_API_KEY)" in text for text in shown)
    for secret in (*SECRETS, agents_own):
        leaks = [text[max(0, text.find(secret) - 150) :][:300] for text in shown if secret in text]
        assert not leaks, secret


def test_no_key_in_forwarded_headers_or_names(
    proxy: RunningProxy, upstream: UpstreamThread, tunnel: bool
) -> None:
    names = ("user-agent", "x-title", "x-session-id", "x-openrouter-cache", "http-referer")
    proxy.openai(tunnel=tunnel).chat.completions.create(
        model="openrouter:demo/echo",
        messages=[{"role": "user", "content": "hi"}],
        extra_headers={name: f"my {UPSTREAM_KEY}" for name in names},
        extra_body={"metadata": {UPSTREAM_KEY: "x"}},
    )
    sent = upstream.simulator.requests[-1]
    assert {name: sent.header(name) for name in names} == dict.fromkeys(names, f"my {PLACEHOLDER}")
    assert sent.json["metadata"] == {PLACEHOLDER: "x"}
