"""Who may say where a secret goes: the rank of each source, and what of a folder is named."""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest

from commands.config.levels import ConfigError
from commands.config.load import Configuration, read
from commands.config.model import CONFIG_FIELDS
from commands.config.sources import Risk

YAML_NAMES = {setting.env: setting.name for setting in CONFIG_FIELDS if setting.env}
FLAGS = {setting.env: setting.dest for setting in CONFIG_FIELDS if setting.env}

FOLDER, USER = "folder", "user/llm-proxy"
MINE = ("flag", "environment", "chosen.env", f"{USER}/.env")
THEIRS = (f"{FOLDER}/.env", f"{FOLDER}/proxy.yaml", f"{FOLDER}/named.yaml")


class Start:
    """What is given to a start in a folder: each value at one source."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._flags: dict[str, object] = {}
        self._environ = {"XDG_CONFIG_HOME": str(directory / "user")}
        self.folder = directory / FOLDER
        for name in (FOLDER, USER):
            (directory / name).mkdir(parents=True)

    def give(self, variable: str, value: str, source: str) -> None:
        if source == "flag":
            self._flags[FLAGS[variable]] = value
        elif source == "environment":
            self._environ[variable] = value
        elif source:
            line = f"{variable}={value}"
            if source.endswith(".yaml"):
                line = f"{YAML_NAMES[variable]}: {json.dumps(value)}"
            self.write(source, line)

    def write(self, source: str, line: str) -> None:
        """Add a line to a file, and tell of the file where that is needed."""
        path = self._directory / source
        with path.open("a") as file:
            file.write(f"{line}\n")
        if path.name.startswith("chosen"):
            self._flags["settings_file"] = str(path)
        if path.name == "named.yaml":
            with path.with_name(".env").open("a") as file:
                file.write(f"LLM_PROXY_SETTINGS={path.name}\n")

    def read(
        self, *, flags: Mapping[str, object] | None = None, reads_folder: bool = True
    ) -> Configuration:
        folder = self.folder if reads_folder else None
        return read({**self._flags, **(flags or {})}, self._environ, folder)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)


def refusal_of(start: Start) -> str:
    with pytest.raises(ConfigError) as raised:
        start.read()
    return str(raised.value)


# Secrets and addresses


@pytest.mark.parametrize("vendor", ["OPENROUTER", "GEMINI"])
@pytest.mark.parametrize(
    ("number", "secret_at"), [*product(["", "_7"], MINE[1:]), ("", "flag")], ids=str
)
@pytest.mark.parametrize("address_at", THEIRS)
def test_a_folder_may_not_say_where_the_user_s_secret_goes(
    start: Start, vendor: str, number: str, secret_at: str, address_at: str
) -> None:
    start.give(f"{vendor}_API_BASE_URL", "http://127.0.0.1:9/x", address_at)
    start.give(f"{vendor}_API_KEY{number}", "the-user-s-key", secret_at)
    refusal = refusal_of(start)
    assert len(refusal.splitlines()) == 1
    assert refusal.startswith((".env: ", "proxy.yaml line 1: ", "named.yaml line 1: "))
    assert "http://127.0.0.1:9/x" in refusal
    assert "--trust-folder" in refusal
    assert "the-user-s-key" not in refusal
    assert start.read(flags={"trust_folder": "true"}).settings.api_keys
    assert start.read(flags={"demo": "on"}).settings.api_keys
    assert "127.0.0.1:9" not in str(start.read(reads_folder=False).settings)


@pytest.mark.parametrize("secret_at", [*MINE, f"{FOLDER}/.env"])
@pytest.mark.parametrize("address_at", [*MINE, f"{USER}/proxy.yaml", ""])
def test_the_user_may(start: Start, secret_at: str, address_at: str) -> None:
    start.give("OPENROUTER_API_KEY", "a-secret-key", secret_at)
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", address_at)
    settings = start.read().settings
    assert [key.value for key in settings.openrouter_api_keys] == ["a-secret-key"]
    wanted = "http://a.example" if address_at else "https://openrouter.ai/api/v1"
    assert settings.openrouter_api_base_url == wanted


@pytest.mark.parametrize("address_at", THEIRS)
def test_a_folder_may_say_where_its_own_secret_goes(start: Start, address_at: str) -> None:
    start.give("OPENROUTER_API_KEY", "the-folder-s-key", f"{FOLDER}/.env")
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", address_at)
    start.give("GEMINI_API_KEY", "the-user-s-key", "environment")
    start.give("LLM_BACKEND", "gemini", "environment")
    configured = start.read()
    assert configured.settings.openrouter_api_base_url == "http://a.example"
    assert "http://a.example" in str(configured.warning)


def test_one_secret_of_the_user_among_the_folder_s_is_enough(start: Start) -> None:
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", f"{FOLDER}/proxy.yaml")
    start.give("OPENROUTER_API_KEY_1", "the-folder-s-key", f"{FOLDER}/.env")
    start.give("OPENROUTER_API_KEY_2", "the-user-s-key", f"{USER}/.env")
    assert "OPENROUTER_API_KEY_2" in refusal_of(start)


@pytest.mark.parametrize("secret_at", ["flag", "environment", f"{USER}/.env", f"{FOLDER}/.env"])
def test_a_chosen_file_may_say_where_any_secret_goes(start: Start, secret_at: str) -> None:
    start.give("OPENROUTER_API_KEY", "a-secret-key", secret_at)
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", "chosen.yaml")
    assert start.read().settings.openrouter_api_base_url == "http://a.example"


def test_an_address_of_the_folder_that_a_nearer_one_replaces_does_no_harm(start: Start) -> None:
    start.give("OPENROUTER_API_KEY", "the-user-s-key", "environment")
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", f"{FOLDER}/.env")
    start.give("OPENROUTER_API_BASE_URL", "http://b.example", "environment")
    assert start.read().settings.openrouter_api_base_url == "http://b.example"


def test_a_folder_cannot_trust_itself(start: Start) -> None:
    start.give("LLM_PROXY_TRUST_FOLDER", "true", f"{FOLDER}/.env")
    assert refusal_of(start) == (
        ".env: LLM_PROXY_TRUST_FOLDER: does not count here, use --trust-folder or the environment"
    )


@pytest.mark.parametrize("source", ["environment", f"{USER}/.env"])
def test_the_user_can_trust_every_folder(start: Start, source: str) -> None:
    start.give("LLM_PROXY_TRUST_FOLDER", "true", source)
    start.give("OPENROUTER_API_KEY", "the-user-s-key", "environment")
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", f"{FOLDER}/.env")
    start.give("DISABLE_AUTH", "true", f"{FOLDER}/.env")
    assert start.read().warning is None


def test_the_folder_of_the_user_is_trusted_as_the_working_directory_too(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.folder = tmp_path / USER
    start.give("OPENROUTER_API_BASE_URL", "http://a.example", f"{USER}/proxy.yaml")
    start.give("OPENROUTER_API_KEY", "the-user-s-key", "environment")
    assert start.read().files == (str(tmp_path / USER / "proxy.yaml"),)


# What is named


HARMLESS = "sessions: {max: 7}\nport: 7\ntimeout: 7\nmodel_mapping: {}\nsticky: false"


@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        ("proxy.yaml", "host: 127.0.0.9", "proxy.yaml line 6: host: 127.0.0.9"),
        ("proxy.yaml", "log: ~/.bashrc", "proxy.yaml line 6: log: ~/.bashrc"),
        ("proxy.yaml", "config: x.json", "proxy.yaml line 6: config: x.json"),
        ("proxy.yaml", "disable_auth: true", "proxy.yaml line 6: disable_auth: true"),
        ("proxy.yaml", "intercept_hosts: [a]", "proxy.yaml line 6: intercept_hosts: ['a']"),
        (
            "proxy.yaml",
            "allowed_origins: ['https://a.example']",
            "proxy.yaml line 6: allowed_origins: ['https://a.example']",
        ),
        (
            "proxy.yaml",
            "redact_api_keys_in_prompts: false",
            "proxy.yaml line 6: redact_api_keys_in_prompts: false",
        ),
        (".env", "PROXY_HOST=::1", ".env: PROXY_HOST=::1"),
        (".env", "DISABLE_AUTH=1", ".env: DISABLE_AUTH=1"),
        (".env", "REDACT_API_KEYS_IN_PROMPTS=0", ".env: REDACT_API_KEYS_IN_PROMPTS=0"),
        (".env", "PROXY_RECORD=a", ".env: PROXY_RECORD=a"),
        (".env", "PROXY_PLAYBACK=a", ".env: PROXY_PLAYBACK=a"),
        (".env", "PROXY_PORT=8", None),
    ],
)
def test_what_a_folder_decides_is_named(
    start: Start, file: str, line: str, named: str | None
) -> None:
    start.write(f"{FOLDER}/proxy.yaml", HARMLESS)
    start.write(f"{FOLDER}/{file}", line)
    warning = start.read().warning
    if named is None:
        assert warning is None
        return
    assert warning
    assert f": {named}. " in warning
    assert "\n" not in warning
    assert "--trust-folder" in warning
    assert start.read(flags={"trust_folder": "true"}).warning is None
    assert start.read(reads_folder=False).warning is None


def test_all_are_named_in_one_line_and_of_the_user_s_none(start: Start) -> None:
    start.write(f"{FOLDER}/proxy.yaml", "sessions: {log_dir: a, max: 1}\nhost: ::1\nlog: b")
    start.write(f"{USER}/proxy.yaml", "disable_auth: true\nconfig: c.json")
    start.write("chosen.yaml", "host: 127.0.0.2")
    warning = start.read().warning
    assert warning
    found = "proxy.yaml line 1: sessions: log_dir: a; proxy.yaml line 3: log: b"
    assert f": {found}. " in warning


def test_every_risk_is_told_in_the_table() -> None:
    by_risk = {risk: {each.name for each in CONFIG_FIELDS if each.risk is risk} for risk in Risk}
    assert by_risk[Risk.SECRET] == {each.name for each in CONFIG_FIELDS if each.read}
    assert by_risk[Risk.ADDRESS] == {each.name for each in CONFIG_FIELDS if each.carries}
    assert {each.carries for each in CONFIG_FIELDS if each.carries} < by_risk[Risk.SECRET]
    files = {each.name for each in CONFIG_FIELDS if each.metavar == "FILE"}
    assert files - {"settings_file"} <= by_risk[Risk.NAMED]


# Order, and what was read


def test_the_nearest_level_wins(start: Start) -> None:
    sources = [f"{USER}/proxy.yaml", f"{USER}/.env", f"{FOLDER}/proxy.yaml", f"{FOLDER}/.env"]
    sources += ["chosen.yaml", "environment", "flag"]
    for port, source in enumerate(sources, 1):
        start.give("PROXY_PORT", str(port), source)
        assert start.read().settings.port == port


def test_which_files_were_read(start: Start, tmp_path: Path) -> None:
    assert start.read().files == ()
    start.write(f"{USER}/.env", "PROXY_PORT=1")
    start.write(f"{FOLDER}/proxy.yaml", "")
    start.write(f"{FOLDER}/.env", "")
    start.write("chosen.yaml", "")
    user, chosen = str(tmp_path / USER / ".env"), str(tmp_path / "chosen.yaml")
    assert start.read().files == (chosen, ".env", "proxy.yaml", user)
    assert start.read(reads_folder=False).files == (chosen, user)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CONFIG_HOME": "{}/xdg", "HOME": "{}/home"}, 1),
        ({"XDG_CONFIG_HOME": "xdg", "HOME": "{}/home"}, 2),  # not absolute: to be ignored
        ({"HOME": "{}/home"}, 2),
        ({"USERPROFILE": "{}/home"}, 2),
        ({"HOME": "/dev/null"}, 8000),
        ({}, 8000),
    ],
)
def test_where_the_user_s_folder_is(tmp_path: Path, environ: dict[str, str], expected: int) -> None:
    for port, folder in ((1, "xdg"), (2, "home/.config")):
        path = tmp_path / folder / "llm-proxy"
        path.mkdir(parents=True)
        (path / "proxy.yaml").write_text(f"port: {port}")
    given = {name: value.format(tmp_path) for name, value in environ.items()}
    assert read({}, given, None).settings.port == expected


def test_errors_name_the_user_s_file(start: Start, tmp_path: Path) -> None:
    start.write(f"{USER}/proxy.yaml", "port: x\nnonsense: 1")
    start.write(f"{USER}/.env", "PROXY_TIMEOUT=x")
    folder = tmp_path / USER
    first, second, third = refusal_of(start).splitlines()
    assert first == f"{folder}/proxy.yaml line 2: unknown setting 'nonsense'"
    assert second.startswith(f"{folder}/proxy.yaml line 1: port: x: must be")
    assert third.startswith(f"{folder}/.env: PROXY_TIMEOUT=x: must be")


def test_all_configured_keys_are_known_used_or_not(start: Start) -> None:
    start.give("OPENROUTER_API_KEY", "key-of-the-flag", "flag")
    start.give("OPENROUTER_API_KEY", "key-of-the-environment", "environment")
    start.give("OPENROUTER_API_KEY_3", "key-of-the-folder", f"{FOLDER}/.env")
    start.give("GEMINI_API_KEY", "key-of-the-user", f"{USER}/.env")
    start.give("LLM_INTERACTIVE_PROXY_API_KEY", "the-client-key", "environment")
    start.give("LLM_BACKEND", "gemini", "environment")
    assert start.read().secrets == {
        "key-of-the-flag",
        "key-of-the-environment",
        "key-of-the-folder",
        "key-of-the-user",
    }
