"""A dialect and a backend, added to a copy of the sources as `docs/architecture.md` says, work."""

import shutil
import sys
from pathlib import Path

import httpx

from tests.process import ROOT, running_process
from tests.upstream import UpstreamThread

VENDOR = """
from backends.vendors.openai_compatible import OpenAiCompatible
class Toy(OpenAiCompatible): title = "Toy"
"""
DIALECT = """
from backends import jsonio, openai_wire, sse
from backends.dialects.chat import ChatEncoder, map_chunk
from backends.dialects.completions import CompletionsRequest
def text(part):
    return "".join(c.get("message", c.get("delta")).get("content") or "" for c in part["choices"])
class Request(CompletionsRequest):
    def render(self, completion): return {"said": text(completion)}
    def encoder(self): return Encoder()
class Encoder(ChatEncoder):
    is_identity = False
    def chunk(self, raw): return map_chunk(raw, lambda c: sse.block(jsonio.encode({"s": text(c)})))
def read(body):
    chat = openai_wire.read_object(body, "say")
    return Request(chat | {"messages": [{"role": "user", "content": chat.pop("say")}]})
def to_completion(response):
    events = [sse.data_of(block) or block for block in sse.blocks_of(response)]
    said = [jsonio.decode(each) for each in events if each != b"[DONE]"]
    text = "".join(each.get("said", each.get("s")) for each in said)
    return openai_wire.completion_of({"content": text}, id="x", model="m", created=0)
def oops(error): return {"oops": error.message}
"""
EDITS = {
    "backends/dialects/registry.py": (
        "_ROWS = (",
        "from backends.dialects import toy\n_ROWS = (Dialect('toy', '/toy', lambda clock, new_id:"
        " toy.read, from_response=toy.to_completion, error_body=toy.oops),",
    ),
    "backends/vendors/registry.py": (
        "_ROWS = (",
        "from backends.vendors.toy import Toy\n_ROWS = (Vendor('toy', 'Toy', lambda base_url,"
        " *about: Toy(base_url), 'http://127.0.0.1:1', 'TOY_API_KEY'),",
    ),
    "commands/config/model.py": (
        "    client_key: ",
        "    toy_api_keys: Keys = _keys_setting('toy')\n"
        "    toy_api_base_url: BaseUrl = _url_setting('toy')\n    client_key: ",
    ),
}


def test_toys(tmp_path: Path, upstream: UpstreamThread) -> None:
    """The proxy serves both, records them and plays them back."""
    for package in ("addon", "backends", "commands"):
        shutil.copytree(ROOT / package, tmp_path / package)
    (tmp_path / "backends/vendors/toy.py").write_text(VENDOR)
    (tmp_path / "backends/dialects/toy.py").write_text(DIALECT)
    for name, (anchor, row) in EDITS.items():
        text = (tmp_path / name).read_text("utf-8")
        assert text.count(anchor) == 1
        (tmp_path / name).write_text(text.replace(anchor, row), "utf-8")
    command = [sys.executable, "-m", "addon.cli", "--disable-auth", "--disable-interactive-mode"]
    live = {"TOY_API_KEY": "key-of-the-toy", "TOY_API_BASE_URL": upstream.simulator.openrouter_url}
    prompt = {"say": "Hi", "model": "toy:demo/echo"}
    for environ in (live | {"PROXY_RECORD": "run.mitm"}, {"PROXY_PLAYBACK": "run.mitm"}):
        environ["PYTHONPATH"] = str(tmp_path)
        with running_process(tmp_path, command, environ) as proxy:
            complete, stream, wrong = (
                httpx.post(f"{proxy.url}/v1/toy", json=body, trust_env=False, timeout=20)
                for body in (prompt, prompt | {"stream": True}, {"model": "x"})
            )
        assert complete.json()["said"].endswith("You said: Hi")
        assert 'data: {"s":' in stream.text
        assert stream.text.endswith("data: [DONE]\n\n")
        assert wrong.json() == {"oops": "Missing required parameter: 'say'"}
