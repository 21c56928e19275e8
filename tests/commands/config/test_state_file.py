import json
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.model_id import ModelId
from commands.config.sources import ConfigError
from commands.config.state_file import State, _locked, load_state, save_state
from commands.routing.routes import Policy, Route, Routes
from commands.settings import ProxySettings, overrides

KNOWN = ("openrouter", "gemini")
ENDINGS = ("json", "yaml", "yml")
WRITERS = (threading.Thread, multiprocessing.get_context("spawn").Process)
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions and links")

NOTHING = State()
EVERYTHING = State(
    {"default_backend": "gemini", "redact_api_keys_in_prompts": False, "command_prefix": "#?"},
    Routes(
        {
            "no": Route("no", "k"),
            "Bü 1.10": Route("Bü 1.10", "mk", (ModelId("openrouter", "a/b:free"),)),
        }
    ),
)


def with_route(state: State, name: str, policy: Policy = "k") -> State:
    return State(state.defaults, state.routes.create(name, policy))


def read(path: Path) -> Any:
    text = path.read_text("utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def fault_of(action: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as raised:
        action()
    return str(raised.value)


# There and back


@pytest.mark.parametrize("ending", ENDINGS)
def test_saved_is_loaded(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"state.{ending}"
    assert save_state(path, NOTHING, EVERYTHING, KNOWN) == EVERYTHING
    assert load_state(path, KNOWN) == EVERYTHING
    assert list(load_state(path, KNOWN).routes.by_name) == ["no", "Bü 1.10"]
    assert read(path) == {
        "default_backend": "gemini",
        "redact_api_keys_in_prompts": False,
        "command_prefix": "#?",
        "failover_routes": {
            "no": {"policy": "k", "elements": []},
            "Bü 1.10": {"policy": "mk", "elements": ["openrouter:a/b:free"]},
        },
    }
    assert save_state(path, EVERYTHING, NOTHING, KNOWN) == NOTHING
    assert load_state(path, KNOWN) == NOTHING


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", [None, "", "\n"])
def test_no_file(tmp_path: Path, ending: str, text: str | None) -> None:
    path = tmp_path / f"state.{ending}"
    if text is not None:
        path.write_text(text)
    assert load_state(path, KNOWN) == NOTHING
    assert save_state(path, NOTHING, EVERYTHING, KNOWN) == load_state(path, KNOWN)


def test_what_commands_have_chosen() -> None:
    configured = ProxySettings("openrouter", command_prefix="#?")
    assert overrides(configured, configured) == {}
    assert overrides(ProxySettings("openrouter"), configured) == {"command_prefix": "!/"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "redact_api_keys_in_prompts: off\ndefault_backend: Gemini\n"),
        ("s.json", '{\n\t"redact_api_keys_in_prompts": "off",\n\t"default_backend":"gemini"}'),
    ],
)
def test_values_as_in_the_chat(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    expected = {"redact_api_keys_in_prompts": False, "default_backend": "gemini"}
    assert load_state(tmp_path / name, KNOWN) == State(expected)


# What others put into the file


@pytest.mark.parametrize("ending", ENDINGS)
def test_unknown_keys_survive(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"state.{ending}"
    others: dict[str, Any] = {
        "theirs": {"list": [1, 1.5, True, None, "no"], "text": "1"},
        "failover_routes": {"n": {"policy": "k", "elements": [], "note": [7]}},
    }
    path.write_text(json.dumps(others))  # which is YAML too
    before = load_state(path, KNOWN)
    saved = with_route(before, "n", "m")
    save_state(path, before, saved, KNOWN)
    others["failover_routes"]["n"]["policy"] = "m"
    assert read(path) == others


def test_changes_of_two_proxies_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "state.yaml"
    base = save_state(path, NOTHING, with_route(with_route(EVERYTHING, "a"), "b"), KNOWN)
    one = State({**base.defaults, "command_prefix": "$/"}, base.routes.delete("a"))
    two_defaults = {"redact_api_keys_in_prompts": False, "command_prefix": "#?"}
    two = State(two_defaults, base.routes.create("c", "m"))
    save_state(path, base, one, KNOWN)
    merged = save_state(path, base, two, KNOWN)
    assert merged == load_state(path, KNOWN)
    assert merged.defaults == {"redact_api_keys_in_prompts": False, "command_prefix": "$/"}
    assert list(merged.routes.by_name) == ["no", "Bü 1.10", "b", "c"]


def save_many(path: Path, writer: str) -> None:
    """Each save knows only what this writer has done."""
    state = NOTHING
    for number in range(10):
        after = with_route(state, f"{writer}-{number}")
        while True:
            with suppress(ConfigError):  # others have kept the lock all the time
                save_state(path, state, after, KNOWN)
                break
        state = after


@pytest.mark.parametrize("ending", ["json", "yaml"])
@pytest.mark.parametrize("start", WRITERS, ids=["thread", "process"])
def test_concurrent_writers(tmp_path: Path, ending: str, start: Callable[..., Any]) -> None:
    path = tmp_path / f"state.{ending}"
    writers = [start(target=save_many, args=(path, f"w{number}")) for number in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        load_state(path, KNOWN)  # never a half of it
    names = load_state(path, KNOWN).routes.by_name
    assert sorted(names) == sorted(f"w{a}-{b}" for a in range(4) for b in range(10))


def test_a_lock_that_is_never_released(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    save_state(path, NOTHING, EVERYTHING, KNOWN)
    before = path.read_bytes()
    with _locked(path):
        message = fault_of(lambda: save_state(path, EVERYTHING, NOTHING, KNOWN))
        assert load_state(path, KNOWN) == EVERYTHING
    assert message == f"{path}: cannot be saved: another process keeps it locked"
    assert path.read_bytes() == before
    assert save_state(path, EVERYTHING, NOTHING, KNOWN) == NOTHING


# Broken files


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("s.json", '{\n"a": 1,\n', " line 3: Expecting property name enclosed in double quotes"),
        ("s.json", '\n\n{\n"a": "b', " line 4: Unterminated string starting at"),
        ("s.json", "[" * 100_000, " line 1: nested too deeply"),
        ("s.json", "[]", " line 1: must be a list of 'setting: value' lines"),
        ("s.yaml", "a:\n  - [b\n", " line 3: expected ',' or ']', but got '<stream end>'"),
        ("s.yaml", "a: 1\na: 2\n", " line 2: 'a' is given twice"),
        ("s.yaml", "a: 1\n<<: 2\n", " line 2: expected a mapping or list of mappings for merging,"),
        ("s.yaml", "a: 2024-99-99\n", ": month must be in 1..12"),
        ("s.yaml", "\ndefault_backend: x", " line 2: default_backend: x: backend x not supported"),
        (
            "s.json",
            '{"a": 1,\n"command_prefix": "!!"}',
            " line 2: command_prefix: !!: must not be the same character twice",
        ),
        ("s.yaml", "command_prefix: [a]", " line 1: command_prefix: ['a']: must be a single value"),
        (
            "s.yaml",
            "redact_api_keys_in_prompts: 2",
            " line 1: redact_api_keys_in_prompts: 2: must be one of true, on, yes, 1,",
        ),
        ("s.yaml", "failover_routes: 1", " line 1: failover_routes: 1: must be a mapping"),
        ("s.yaml", "failover_routes:\n  n: 1", " line 2: failover_routes: n: 1: must be a mapping"),
        (
            "s.yaml",
            "failover_routes:\n  n:\n    policy: x",
            " line 3: failover_routes: n: policy: x: must be one of k, m, km, mk",
        ),
        (
            "s.yaml",
            "failover_routes:\n  n:\n    policy: k\n    elements: a",
            " line 4: failover_routes: n: elements: a: must be a list of <backend>:<model>",
        ),
        (
            "s.yaml",
            "failover_routes:\n  n:\n    policy: k\n    elements:\n    - gemini:a\n    - x:a",
            " line 6: failover_routes: n: elements: x:a: route element 'x:a': backend x",
        ),
        (
            "s.yaml",
            "failover_routes:\n  '': {policy: k}",
            " line 2: failover_routes: '': must be one line of text",
        ),
    ],
)
def test_broken_file_is_told_and_kept(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert fault_of(lambda: load_state(path, KNOWN)).startswith(f"{path}{expected}")
    assert fault_of(lambda: save_state(path, NOTHING, EVERYTHING, KNOWN)).startswith(
        f"{path}{expected}"
    )
    assert path.read_text() == text


def test_half_written_file(tmp_path: Path) -> None:
    """Wherever a JSON file is cut off, it is either refused or still all there."""
    path = tmp_path / "s.json"
    save_state(path, NOTHING, EVERYTHING, KNOWN)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert str(path) in fault_of(lambda: save_state(path, NOTHING, NOTHING, KNOWN))


def test_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    assert fault_of(lambda: load_state(path, KNOWN)) == f"{path} line 2: must be UTF-8 text"


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert (
        fault_of(lambda: load_state(tmp_path, KNOWN))
        == f"{tmp_path}: cannot be read: Is a directory"
    )


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "s.yaml"
    message = fault_of(lambda: save_state(path, NOTHING, EVERYTHING, KNOWN))
    assert message.startswith(f"{path}: cannot be saved: ")


# The file in its folder


def files(folder: Path) -> Mapping[str, int]:
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}


@posix
def test_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    save_state(path, NOTHING, EVERYTHING, KNOWN)
    assert files(tmp_path) == {"s.yaml": 0o600, ".s.yaml.lock": 0o600}
    path.chmod(0o640)
    save_state(path, EVERYTHING, NOTHING, KNOWN)
    assert files(tmp_path) == {"s.yaml": 0o640, ".s.yaml.lock": 0o600}


@posix
def test_symbolic_link_is_kept(tmp_path: Path) -> None:
    link, target = tmp_path / "link.yaml", tmp_path / "target.yaml"
    link.symlink_to(target)
    save_state(link, NOTHING, EVERYTHING, KNOWN)
    assert link.is_symlink()
    assert load_state(target, KNOWN) == EVERYTHING


def test_old_file_stays_if_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"theirs": "\\ud800"}')  # half a character: no UTF-8 can hold it
    message = fault_of(lambda: save_state(path, NOTHING, EVERYTHING, KNOWN))
    assert message.startswith(f"{path}: cannot be saved: ")
    assert path.read_text() == '{"theirs": "\\ud800"}'
    assert set(files(tmp_path)) == {"s.json", ".s.json.lock"}


def test_no_change_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("# mine\ndefault_backend: gemini\n")
    state = load_state(path, KNOWN)
    save_state(path, state, state, KNOWN)
    assert path.read_text().startswith("# mine")
