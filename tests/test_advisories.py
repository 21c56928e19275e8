"""CI tells of published advisories on what is installed, and never fails for lack of a network."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "advisories.py"


class Index(http.server.BaseHTTPRequestHandler):
    advisories: ClassVar[dict[str, list[object]]] = {}

    def do_GET(self) -> None:
        name = self.path.split("/")[1]
        body = json.dumps({"vulnerabilities": self.advisories.get(name)}).encode()
        self.send_response(404 if name == "h11" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(url: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={"ADVISORIES_INDEX": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ended.stderr
    return ended.returncode, ended.stdout


def advisory(id: str) -> dict[str, object]:
    return {"id": "PYSEC-1", "aliases": [id], "fixed_in": ["9.9"], "summary": "bad"}


@pytest.mark.parametrize(
    ("id", "code", "said"),
    [("CVE-2026-71554", 0, "accepted: h2"), ("CVE-2026-99999", 1, "NOT ACCEPTED")],
)
def test_advisories_are_told(index: str, id: str, code: int, said: str) -> None:
    Index.advisories = {"h2": [advisory(id)], "pytest": [advisory("CVE-0-1")]}
    ended, output = run(index)
    assert ended == code
    assert f"{id} PYSEC-1, fixed in 9.9: bad\n  {said}" in output
    assert "pytest" not in output  # users do not install it


def test_without_a_network_nothing_fails() -> None:
    code, output = run("http://127.0.0.1:9")  # the discard service, which nobody runs
    assert code == 0
    assert output.startswith("Advisories cannot be looked up: ")
