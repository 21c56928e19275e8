"""What the tree promises: who imports whom, how long a file is, that samples are complete."""

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from commands.config.load import load
from commands.config.model import CONFIG_FIELDS, Config
from commands.config.sources import Risk

ROOT = Path(__file__).resolve().parent.parent
B, C = "backends", "commands"
GEMINI = "backends/vendors/gemini"
ROOMS = {
    # The root of `backends` and of `commands` is the bottom ...
    "backends": (),
    "backends/dialects": (B,),
    "backends/dialects/responses": (B, "backends/dialects"),
    GEMINI: (B,),
    f"{GEMINI}/schema": (B, GEMINI),
    f"{GEMINI}/request": (B, GEMINI, f"{GEMINI}/schema"),
    f"{GEMINI}/response": (B, GEMINI, f"{GEMINI}/request"),
    f"{GEMINI}/backend": (B, f"{GEMINI}/*"),
    "backends/vendors": (B,),
    "backends/recordings": (B, "backends/vendors"),
    "commands": ("backends/*",),
    "commands/agents": ("backends/*",),
    "commands/routing": ("backends/*", C),
    "commands/sessions": ("backends/*", C, "commands/agents", "commands/routing"),
    "commands/config": ("backends/*", C, "commands/routing"),
    "commands/language": (
        "backends/*",
        C,
        "commands/agents",
        "commands/routing",
        "commands/sessions",
    ),
    "commands/builtin": (
        "backends/*",
        C,
        "commands/language",
        "commands/routing",
        "commands/sessions",
    ),
    "commands/turns": ("backends/*", "commands/*"),
    "addon/loopback": (B,),
    "addon/exchange": ("backends/*", "commands/*"),
    "addon/layers": ("backends/*", "addon/exchange"),
    "addon/endpoints": ("backends/*", "commands/*", "addon/exchange", "addon/layers"),
    "addon/inspect/views": ("backends/*", "addon/exchange"),
    "addon/inspect": (
        "backends/*",
        "commands/*",
        "addon/exchange",
        "addon/endpoints",
        "addon/inspect/views",
    ),
    "addon/cassettes": ("backends/*", "commands/*", "addon/exchange", "addon/loopback"),
    "addon/demo/simulator": ("addon/loopback",),
    "addon/demo": ("backends/*", "commands/config", "addon/demo/simulator"),
    "addon/program": ("backends/*", "commands/config", "addon/exchange"),
    "addon/launch": ("backends/*", "commands/*", "addon/exchange", "addon/program"),
    "addon/launch/doctor": (
        "backends/*",
        "commands/*",
        "addon/launch",
        "addon/layers",
        "addon/program",
    ),
    # ... and that of `addon` the top.
    "addon": ("backends/*", "commands/*", "addon/*"),
}
"""What each folder may import besides itself; `x/*` is the folder x with all below it."""
REGISTRIES = {
    "backends/dialects/registry.py": ("backends/dialects/*",),
    "backends/vendors/registry.py": ("backends/vendors/*",),
}
"""Modules that stand above the folders that they list, and what they may import as well."""
MAX_LINES = 500
MAX_FUNCTION_LINES = 40
MODULES = sorted(
    path for package in ("addon", "backends", "commands") for path in (ROOT / package).rglob("*.py")
)
COMMENTED_OUT = re.compile(r"^#(?! |$)", re.MULTILINE)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {name_of(path): path for path in MODULES}


def imported_by(path: Path) -> Iterator[str]:
    """The modules that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield "a relative import" if node.level else module
            names = (f"{module}.{alias.name}" for alias in node.names)
            yield from (name for name in names if name in PATHS)


def room_of(path: Path) -> str:
    return str(path.parent.relative_to(ROOT))


def arrows(path: Path) -> set[str]:
    """The other folders that a module imports from."""
    found = {module: PATHS[module] for module in imported_by(path) if module in PATHS}
    # `from package import module` is an arrow to the module, not to the package.
    packages = {name for name in found if any(other.startswith(f"{name}.") for other in found)}
    return {room_of(each) for name, each in found.items() if name not in packages} - {room_of(path)}


def is_allowed(room: str, allowed: Iterable[str]) -> bool:
    return any(
        room == each or (each.endswith("/*") and f"{room}/".startswith(each[:-1]))
        for each in allowed
    )


def long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module(path: Path) -> None:
    room, name = room_of(path), str(path.relative_to(ROOT))
    allowed = (*ROOMS[room], *REGISTRIES.get(name, ()))
    wrong = {each for each in arrows(path) if not is_allowed(each, allowed)}
    assert not wrong, f"{room} must not import from {wrong}"
    imported = set(imported_by(path))
    assert "a relative import" not in imported
    if not name.startswith("addon"):
        assert not {each for each in imported if each.partition(".")[0] == "mitmproxy"}
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES
    assert not list(long_functions(path))


def test_each_room_has_a_row_and_says_what_it_is_for() -> None:
    assert {room_of(path) for path in MODULES} == set(ROOMS)
    for room in ROOMS:
        assert ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text("utf-8")))


def test_no_circles_of_rooms() -> None:
    graph = {room: set[str]() for room in ROOMS}
    for path in MODULES:
        if str(path.relative_to(ROOT)) not in REGISTRIES:
            graph[room_of(path)] |= arrows(path)
    TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_no_circles_of_modules() -> None:
    graph = {
        name: {each for each in imported_by(path) if each in PATHS and each != name}
        for name, path in PATHS.items()
        if path.name != "__init__.py"
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", ["addon", "backends", "commands"])
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_sample_files_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "proxy.yaml").write_text((ROOT / "proxy.yaml").read_text())
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert load({}, {}, tmp_path) == Config()


def test_sample_files_show_the_defaults(tmp_path: Path) -> None:
    for sample, name in (("proxy.yaml", "proxy.yaml"), (".env.example", ".env")):
        text = COMMENTED_OUT.sub("", (ROOT / sample).read_text())
        (tmp_path / name).write_text(text)
        assert load({}, {}, tmp_path) == Config()
        (tmp_path / name).unlink()


def test_samples_are_complete() -> None:
    names = [each.name for each in CONFIG_FIELDS if each.in_yaml]
    variables = [each.env for each in CONFIG_FIELDS if each.env and each.risk is not Risk.BARRED]
    for sample, line, known in (
        ("proxy.yaml", r"^#(\w+):", names),
        (".env.example", r"^#(\w+)=", variables),
    ):
        found = re.findall(line, (ROOT / sample).read_text(), re.MULTILINE)
        assert not set(known) - set(found), f"{sample} lacks these settings"
        assert sorted(found) == sorted(known), f"{sample} has settings that do not exist, or twice"
