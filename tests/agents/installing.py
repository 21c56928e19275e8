"""Agents' packages: installed once, into a folder that is nobody else's."""

import os
import re
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("LLM_PROXY_AGENTS") or Path.home() / ".cache" / "llm-proxy-agents")
TIMEOUT_S = 600


class CannotInstall(Exception):
    """Why an agent cannot be had here."""


def npm(*packages: str) -> Path:
    """The folder that holds packages of npm; their programs are in its `node_modules/.bin`."""
    folder = _folder_of(*packages)
    options = ("--no-fund", "--no-audit", "--loglevel=error")
    _once(folder, [_program("npm"), "install", *options, "--prefix", str(folder), *packages])
    return folder / "node_modules" / ".bin"


def pip(package: str, version: str) -> Path:
    """The programs of an environment of this version of Python that holds a package of PyPI."""
    folder = _folder_of(package)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    _once(folder / "made", [_python(version), "-m", "venv", str(folder)])
    _once(folder, [str(programs / "python"), "-m", "pip", "install", "--quiet", package])
    return programs


def _folder_of(*packages: str) -> Path:
    return FOLDER / re.sub(r"[^\w.]+", "-", "-".join(packages)).strip("-")


def _python(version: str) -> str:
    """Shims of pyenv may have nothing behind them, so its Pythons come first."""
    installed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python"))
    return str(installed[0]) if installed else _program(f"python{version}")


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise CannotInstall(f"{name}: not found")


def _once(folder: Path, command: list[str]) -> None:
    """Run a command that fills a folder, if that was not done before."""
    done = folder / "installed"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(str(error)) from None
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise CannotInstall(f"{command[0]}: {said[-1] if said else 'failed'}")
    done.touch()
