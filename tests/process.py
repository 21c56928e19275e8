"""The proxy as its users start it: a process of its own."""

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"LLM proxy ready: HTTPS_PROXY=(http://\S+)")


class RunningProcess(NamedTuple):
    """`url` is where our proxy listens; its output is in `output.txt` of its working directory."""

    url: str
    popen: "subprocess.Popen[str]"


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The machine's environment without anybody's keys, proxies and settings, and `environ`."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    if "HOME" not in environ:
        inherited["XDG_CONFIG_HOME"] = os.path.abspath("no-such-folder")
    return inherited | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(environ)


@contextlib.contextmanager
def running_process(
    directory: Path,
    command: Sequence[str],
    environ: Mapping[str, str],
    until: str = "LLM proxy ready",
) -> Iterator[RunningProcess]:
    """Start, wait for a line that says it is ready, and stop at the end as Ctrl-C would."""
    popen = subprocess.Popen(
        command,
        cwd=directory,
        env=clean_environ({"PROXY_PORT": "0", **environ}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ready = threading.Event()

    def read() -> None:
        assert popen.stdout
        with (directory / "output.txt").open("w") as output:
            for line in popen.stdout:
                output.write(line)
                output.flush()
                if until in line:
                    ready.set()
        ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        ready.wait(30)
        output = (directory / "output.txt").read_text()
        assert until in output, output
        found = READY.search(output)
        yield RunningProcess(found[1] if found else "", popen)
    finally:
        popen.terminate()
        popen.wait(20)
        reader.join(20)
