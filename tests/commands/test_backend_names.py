"""A backend whose name is added at run time is understood wherever the names are passed in."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from backends.model_id import ModelId
from backends.vendors.registry import VENDORS, make_backends
from commands.config.model import Config
from commands.config.state_file import State, load_state, save_state
from commands.errors import CommandError
from commands.routing.routes import Route, Routes, parse_element
from commands.routing.target import NameTables, RoutingInputs, resolve
from commands.settings import NAMES, AvailableBackend
from tests.commands.builtin.chat import new_context, run

KNOWN = (*VENDORS, "local")
LLAMA = ModelId("local", "llama3:8b")


def test_every_vendor_has_a_backend_and_settings() -> None:
    urls = Config().base_urls
    assert list(make_backends(urls)) == list(VENDORS) == list(urls)
    assert [urls[name] for name in VENDORS] == [each.base_url for each in VENDORS.values()]


def test_backends_of_some_vendors() -> None:
    assert list(make_backends({"gemini": "http://g"})) == ["gemini"]


def test_target_and_mapping() -> None:
    mapping = {"llama*": ("local:{model}",)}
    backends = dict.fromkeys(KNOWN, AvailableBackend(1))
    inputs = RoutingInputs("openrouter", KNOWN, backends, names=NameTables(mapping=mapping))
    assert resolve("local:llama3:8b", inputs).target[:2] == LLAMA
    assert resolve("llama3:8b", inputs).target[:2] == LLAMA
    unknown = resolve("local:a", replace(inputs, known=tuple(VENDORS))).target
    assert unknown[:2] == ("openrouter", "local:a")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("model", "local:llama3:8b", LLAMA), ("backend", "Local", "local")],
)
def test_settings_and_routes(name: str, text: str, value: object) -> None:
    assert NAMES[name].read(text, KNOWN) == value
    with pytest.raises(CommandError, match=r"backend [Ll]ocal not supported"):
        NAMES[name].read(text, VENDORS)
    assert parse_element(str(LLAMA), KNOWN) == LLAMA


def test_commands() -> None:
    context = new_context({"local": AvailableBackend(1)}, KNOWN)
    assert run(context, "set(default-backend=local)") == "default backend set to local"
    assert run(context, "create-failover-route(name=n, policy=m)")
    assert run(context, "route-append(name=n, local:llama3:8b)") == "elements appended to n"
    assert run(context, "route-list(name=n)") == "local:llama3:8b"


def test_configuration() -> None:
    values = {
        "default_backend": "local",
        "timeouts": {"local": "5"},
        "model_mapping": {"llama*": "local:{model}"},
        "failover_routes": {"n": {"policy": "m", "elements": ["local:llama3:8b"]}},
    }
    settings = Config.model_validate(values, context=KNOWN)
    assert settings.default_backend == "local"
    assert settings.failover_routes["n"].elements == (LLAMA,)
    with pytest.raises(ValidationError, match=f"must be {' or '.join(VENDORS)}"):
        Config.model_validate({"default_backend": "local"}, context=VENDORS)


def test_state_file(tmp_path: Path) -> None:
    state = State({"default_backend": "local"}, Routes({"n": Route("n", "m", (LLAMA,))}))
    assert save_state(tmp_path / "s.yaml", State(), state, KNOWN) == state
    assert load_state(tmp_path / "s.yaml", KNOWN) == state
