"""What the tree promises: who imports whom, how long a file is, that samples are complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.config.load import load
from commands.config.model import SETTINGS, Settings
from commands.config.sources import Risk

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "backends": {"addon", "commands", "mitmproxy"},
    "commands": {"addon", "mitmproxy"},
    "addon": set(),
}
MAX_LINES = 500
MAX_FUNCTION_LINES = 40
MODULES = sorted(path for package in FORBIDDEN for path in (ROOT / package).rglob("*.py"))
COMMENTED_OUT = re.compile(r"^#(?! |$)", re.MULTILINE)


def imported_by(path: Path) -> Iterator[str]:
    """The top-level packages a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0] if node.level == 0 else "a relative import"


def long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    wrong = {"a relative import", *FORBIDDEN[package]} & set(imported_by(path))
    assert not wrong, f"{package} must not import {wrong}"
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES
    assert not list(long_functions(path))


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_sample_files_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "proxy.yaml").write_text((ROOT / "proxy.yaml").read_text())
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert load({}, {}, tmp_path) == Settings()


def test_sample_files_show_the_defaults(tmp_path: Path) -> None:
    for sample, name in (("proxy.yaml", "proxy.yaml"), (".env.example", ".env")):
        text = COMMENTED_OUT.sub("", (ROOT / sample).read_text())
        (tmp_path / name).write_text(text)
        assert load({}, {}, tmp_path) == Settings()
        (tmp_path / name).unlink()


def test_samples_are_complete() -> None:
    yaml_names = re.findall(r"^#(\w+):", (ROOT / "proxy.yaml").read_text(), re.MULTILINE)
    assert sorted(yaml_names) == sorted(each.name for each in SETTINGS if each.in_yaml)
    variables = re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    known = [each.env for each in SETTINGS if each.env and each.risk is not Risk.BARRED]
    assert sorted(variables) == sorted(known)
