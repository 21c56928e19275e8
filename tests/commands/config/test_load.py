import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from backends.keys import Key
from backends.model_id import ModelId
from backends.vendors.registry import VENDORS
from commands.config.levels import ConfigError
from commands.config.load import load
from commands.config.model import CONFIG_FIELDS, Config

Flags = Mapping[str, object]
Environ = Mapping[str, str]


def faults_of(
    directory: Path, *, flags: Flags | None = None, environ: Environ | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(flags or {}, environ or {}, directory)
    return str(raised.value).split("\n")


def test_nothing_given(tmp_path: Path) -> None:
    assert load({}, {}, tmp_path) == Config()


def test_every_field_is_in_the_table() -> None:
    assert [setting.name for setting in CONFIG_FIELDS] == list(Config.model_fields)


# Sources


def test_order_of_the_sources(tmp_path: Path) -> None:
    (tmp_path / "proxy.yaml").write_text("host: ::1\nport: 1\ntimeout: 1\nkeep_alive: 1\n")
    (tmp_path / ".env").write_text("PROXY_HOST=::1\nPROXY_PORT=2\nPROXY_TIMEOUT=2\n")
    environ = {"PROXY_HOST": "::1", "PROXY_PORT": "3"}
    settings = load({"host": "localhost"}, environ, tmp_path)
    assert settings.host == "localhost"
    assert settings.port == 3
    assert settings.timeout == 2
    assert settings.keep_alive == 1


@pytest.mark.parametrize(
    ("variable", "text", "name", "expected"),
    [
        ("LLM_BACKEND", "gemini", "default_backend", "gemini"),
        ("OPENROUTER_API_BASE_URL", "http://A.b/v1/", "openrouter_api_base_url", "http://a.b/v1"),
        ("GEMINI_API_BASE_URL", "http://[::1]:9", "gemini_api_base_url", "http://[::1]:9"),
        ("PROXY_HOST", "::1", "host", "::1"),
        ("PROXY_PORT", " 0 ", "port", 0),
        ("PROXY_TIMEOUT", "2.5", "timeout", 2.5),
        ("COMMAND_PREFIX", "#?", "command_prefix", "#?"),
        ("DISABLE_AUTH", "Yes", "disable_auth", True),
        ("DISABLE_INTERACTIVE_MODE", "on", "disable_interactive_mode", True),
        ("DISABLE_INTERACTIVE_COMMANDS", "1", "disable_interactive_commands", True),
        ("FORCE_SET_PROJECT", "TRUE", "force_set_project", True),
        ("REDACT_API_KEYS_IN_PROMPTS", "off", "redact_api_keys_in_prompts", False),
        ("APP_SITE_URL", "https://a.example", "app_site_url", "https://a.example"),
        ("APP_X_TITLE", "Büro 7", "app_x_title", "Büro 7"),
        ("PROXY_PORT", "  ", "port", 8000),
    ],
)
def test_environment(tmp_path: Path, variable: str, text: str, name: str, expected: object) -> None:
    environ_settings = load({}, {variable: text}, tmp_path)
    (tmp_path / ".env").write_text(f"{variable}={text}\n")
    assert load({}, {}, tmp_path) == environ_settings
    assert getattr(environ_settings, name) == expected


def test_blank_variable_does_not_hide_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROXY_PORT=2\n")
    assert load({}, {"PROXY_PORT": ""}, tmp_path).port == 2


def test_env_file_is_not_interpolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/wrong")
    (tmp_path / ".env").write_text("OPENROUTER_API_KEY=a${HOME}b\n")
    assert load({}, {}, tmp_path).openrouter_api_keys[0].value == "a${HOME}b"


def test_env_file_may_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load({}, {}, tmp_path) == Config()


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("port: 9000", "port", 9000),
        ("port: '9000'", "port", 9000),
        ("port:", "port", 8000),
        ("port: null", "port", 8000),
        ("default_backend: gemini", "default_backend", "gemini"),
        ("disable_auth: on", "disable_auth", True),
        ("app_x_title: no", "app_x_title", "no"),
        ("app_x_title: 1.10", "app_x_title", "1.10"),
        ("app_x_title: 'null'", "app_x_title", "null"),
        ("log: some/where.log", "log", Path("some/where.log")),
        ("log: ~/where.log", "log", Path("~/where.log").expanduser()),
        ("config: state.yml", "config", Path("state.yml")),
        ("aliases:\n  s: gemini:a", "aliases", {"s": ModelId("gemini", "a")}),
        ("max_body_mib: 1", "max_body_mib", 1),
        ("models_max_age: 1.5", "models_max_age", 1.5),
        ("connect_timeout: 3", "connect_timeout", 3),
        ("intercept_hosts: [API.OpenAI.com, llm]", "intercept_hosts", ("api.openai.com", "llm")),
        ("intercept_hosts: []", "intercept_hosts", ()),
        ("chat_may_change:", "chat_may_change", None),
        ("chat_may_change: []", "chat_may_change", ()),
        ("chat_may_change: [routes]", "chat_may_change", ("routes",)),
        ("allowed_origins: ['https://A.example:443/']", "allowed_origins", ("https://a.example",)),
        ("\ufeffport: 9000", "port", 9000),
    ],
)
def test_yaml(tmp_path: Path, text: str, name: str, expected: object) -> None:
    (tmp_path / "proxy.yaml").write_text(text, "utf-8")
    assert getattr(load({}, {}, tmp_path), name) == expected


def test_yaml_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("port: 1\nhost: a b")
    environ = {"LLM_PROXY_SETTINGS": "other.yaml"}
    [fault] = faults_of(tmp_path, environ=environ)
    assert fault.startswith("other.yaml line 2: host: a b: must be")
    (tmp_path / "other.yaml").write_text("port: 1")
    (tmp_path / "proxy.yaml").write_text("port: 2\nkeep_alive: 2")
    settings = load({}, environ, tmp_path)
    assert (settings.port, settings.keep_alive) == (1, 2)
    (tmp_path / ".env").write_text("LLM_PROXY_SETTINGS=other.yaml")
    assert load({}, {}, tmp_path).port == 2
    (tmp_path / "proxy.yaml").unlink()
    assert load({}, {}, tmp_path).port == 1


# Flags


def parse(*arguments: str) -> Flags:
    """What a command line made from the table gives to `load`."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for setting in CONFIG_FIELDS:
        if setting.flag:
            parser.add_argument(setting.flag, **setting.argument())
    parser.format_help()
    return vars(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        (["--default-backend", "gemini"], "default_backend", "gemini"),
        (["--openrouter-api-base-url", "http://a/"], "openrouter_api_base_url", "http://a"),
        (["--gemini-api-base-url=http://a/b/"], "gemini_api_base_url", "http://a/b"),
        (["--host", "localhost"], "host", "localhost"),
        (["--port", "0"], "port", 0),
        (["--timeout", "3"], "timeout", 3),
        (["--command-prefix", "$$$"], "command_prefix", "$$$"),
        (["--log", "a.log"], "log", Path("a.log")),
        (["--config", "a.json"], "config", Path("a.json")),
        (["--disable-interactive-mode"], "disable_interactive_mode", True),
        (["--disable-interactive-commands"], "disable_interactive_commands", True),
        (["--disable-redact-api-keys-in-prompts"], "redact_api_keys_in_prompts", False),
        (["--disable-auth"], "disable_auth", True),
        (["--force-set-project"], "force_set_project", True),
        (["--demo"], "demo", "on"),
        (["--demo=auto"], "demo", "auto"),
        ([], "demo", "off"),
    ],
)
def test_flags(tmp_path: Path, arguments: list[str], name: str, expected: object) -> None:
    assert getattr(load(parse(*arguments), {}, tmp_path), name) == expected


def test_other_flags_are_ignored(tmp_path: Path) -> None:
    assert load({"web": True}, {}, tmp_path) == Config()


# Keys


def test_keys_from_environment_and_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "OPENROUTER_API_KEY_1=file-key-1\nOPENROUTER_API_KEY_2=file-key-2\n"
    )
    environ = {
        "OPENROUTER_API_KEY_2": " environ-key-2 ",
        "OPENROUTER_API_KEY_3": " ",
        "LLM_INTERACTIVE_PROXY_API_KEY": "client-key",
    }
    settings = load({}, environ, tmp_path)
    assert settings.openrouter_api_keys == (
        Key("OPENROUTER_API_KEY_1", "file-key-1"),
        Key("OPENROUTER_API_KEY_2", "environ-key-2"),
    )
    assert settings.client_key == Key("LLM_INTERACTIVE_PROXY_API_KEY", "client-key")
    assert settings.api_keys == {"openrouter": settings.openrouter_api_keys}


@pytest.mark.parametrize("backend", ["openrouter", "gemini"])
def test_key_flag_replaces_environment(tmp_path: Path, backend: str) -> None:
    stem = f"{backend.upper()}_API_KEY"
    flags = parse(f"--{backend}-api-key", " given-key ")
    settings = load(flags, {stem: "a b", f"{stem}_1": "c"}, tmp_path)
    assert getattr(settings, f"{backend}_api_keys") == (Key(f"--{backend}-api-key", "given-key"),)


def test_keys_are_not_printed_and_not_dumped(tmp_path: Path) -> None:
    environ = {"GEMINI_API_KEY": "secret-key", "LLM_INTERACTIVE_PROXY_API_KEY": "secret-key"}
    settings = load({"openrouter_api_key": "secret-key", "demo": "on"}, environ, tmp_path)
    assert len(settings.api_keys) == 2
    assert "secret" not in f"{settings} {settings!r} {settings.model_dump()}"


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        pytest.param({}, {}, "openrouter", id="no keys"),
        pytest.param({}, {"GEMINI_API_KEY": "key-aaaa"}, "gemini", id="only one with keys"),
        pytest.param(
            {}, {"GEMINI_API_KEY": "key-aaaa", "LLM_BACKEND": "openrouter"}, "openrouter", id="set"
        ),
        pytest.param(
            {"demo": "on"},
            {"GEMINI_API_KEY": "key-aaaa", "OPENROUTER_API_KEY": "key-bbbb"},
            "openrouter",
            id="demo with both",
        ),
        pytest.param(
            {},
            {"GEMINI_API_KEY": "key-aaaa", "OPENROUTER_API_KEY": "key-bbbb"},
            "openrouter",
            id="both",
        ),
    ],
)
def test_effective_default_backend(
    tmp_path: Path, flags: Flags, environ: Environ, expected: str
) -> None:
    assert load(flags, environ, tmp_path).effective_default_backend == expected


# Faults

URL_RULE = "must be an http:// or https:// URL without user name, query and fragment"
HOST_RULE = "must be a host name such as api.openai.com, without scheme, port and path"
ORIGIN_RULE = "must be a browser origin such as https://app.example"
PORT_RULE = "must be a whole number between 0 and 65535"
SECONDS_RULE = "must be a number of seconds greater than 0"
KEY_RULE = "must be one word of printable ASCII characters"
BACKENDS = " or ".join(VENDORS)


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({"PROXY_PORT": "abc"}, f"PROXY_PORT=abc (environment): {PORT_RULE}"),
        ({"PROXY_PORT": "-1"}, f"PROXY_PORT=-1 (environment): {PORT_RULE}"),
        ({"PROXY_PORT": "65536"}, f"PROXY_PORT=65536 (environment): {PORT_RULE}"),
        ({"PROXY_PORT": "8.5"}, f"PROXY_PORT=8.5 (environment): {PORT_RULE}"),
        ({"PROXY_PORT": "{0}"}, f"PROXY_PORT={{0}} (environment): {PORT_RULE}"),
        ({"PROXY_PORT": "1\n2"}, f"PROXY_PORT='1\\n2' (environment): {PORT_RULE}"),
        ({"PROXY_TIMEOUT": "0"}, f"PROXY_TIMEOUT=0 (environment): {SECONDS_RULE}"),
        ({"PROXY_TIMEOUT": "nan"}, f"PROXY_TIMEOUT=nan (environment): {SECONDS_RULE}"),
        ({"PROXY_TIMEOUT": "inf"}, f"PROXY_TIMEOUT=inf (environment): {SECONDS_RULE}"),
        ({"LLM_BACKEND": "foo"}, f"LLM_BACKEND=foo (environment): must be {BACKENDS}"),
        ({"DISABLE_AUTH": "maybe"}, "DISABLE_AUTH=maybe (environment): must be true or false"),
        (
            {"PROXY_HOST": "http://localhost"},
            "PROXY_HOST=http://localhost (environment): "
            "must be a host name or IP address, without scheme and port",
        ),
        (
            {"PROXY_HOST": "localhost:8000"},
            "PROXY_HOST=localhost:8000 (environment): "
            "must be a host name or IP address, without scheme and port",
        ),
        ({"APP_X_TITLE": "a\nb"}, "APP_X_TITLE='a\\nb' (environment): must be one line of text"),
        (
            {"OPENROUTER_API_KEY": "a b"},
            f"OPENROUTER_API_KEY (environment): {KEY_RULE}",
        ),
        (
            {"LLM_INTERACTIVE_PROXY_API_KEY": "a b"},
            f"LLM_INTERACTIVE_PROXY_API_KEY (environment): {KEY_RULE}",
        ),
        (
            {"GEMINI_API_KEY": "key-aaaa", "GEMINI_API_KEY_1": "key-bbbb"},
            "GEMINI_API_KEY (environment): cannot be set together with GEMINI_API_KEY_1; "
            "keep one of the two forms",
        ),
        (
            {"GEMINI_API_KEY_21": "key-aaaa"},
            "GEMINI_API_KEY_21 (environment): keys are numbered from 1 to 20",
        ),
        (
            {"DISABLE_AUTH": "1", "PROXY_HOST": "0.0.0.0"},
            "DISABLE_AUTH=1 (environment): needs a loopback host such as 127.0.0.1, "
            "not PROXY_HOST=0.0.0.0 (environment)",
        ),
        (
            {"LLM_PROXY_SETTINGS": "/no/such"},
            "LLM_PROXY_SETTINGS=/no/such (environment): must be the path of a file that exists",
        ),
    ],
)
def test_fault_in_environment(tmp_path: Path, environ: Environ, fault: str) -> None:
    assert faults_of(tmp_path, environ=environ) == [fault]


@pytest.mark.parametrize(
    "url",
    [
        "openrouter.ai",
        "ftp://a",
        "http://",
        "http://a:70000",
        "http://a b",
        "http://a#f",
    ],
)
def test_fault_in_base_url(tmp_path: Path, url: str) -> None:
    fault = f"OPENROUTER_API_BASE_URL={url} (environment): {URL_RULE}"
    assert faults_of(tmp_path, environ={"OPENROUTER_API_BASE_URL": url}) == [fault]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:a-secret@a",
        "http://a-secret@a",
        "user:a-secret@a",
        "http://user:p/a-secret@a/v1",
        "http://user:'a-secret\n'@a",
        "http://a?key=a-secret",
        "ftp://a/?a-secret",
    ],
)
@pytest.mark.parametrize(
    "setting",
    [
        "OPENROUTER_API_BASE_URL",
        "GEMINI_API_BASE_URL",
        "PROXY_HOST",
        "PROXY_TIMEOUT",
        "LLM_BACKEND",
        "allowed_origins",
        "intercept_hosts",
    ],
)
def test_a_url_that_may_hold_a_secret_is_not_printed(
    tmp_path: Path, setting: str, url: str
) -> None:
    if setting.isupper():
        [fault] = faults_of(tmp_path, environ={setting: url})
        assert fault.startswith(f"{setting}=(hidden) (environment): must be ")
    else:
        (tmp_path / "proxy.yaml").write_text(json.dumps({setting: [url]}))
        [fault] = faults_of(tmp_path)
        assert fault.startswith(f"proxy.yaml line 1: {setting}: (hidden): must be ")
    assert "a-secret" not in fault


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("!", "must be 2 to 10 characters long"),
        ("!/!/!/!/!/!", "must be 2 to 10 characters long"),
        ("! /", "must not contain spaces"),
        ("!\u00a0", "must not contain spaces"),
        ("!\u200b", "must consist of printable characters"),
        ("!!", "must not be the same character twice"),
    ],
)
def test_fault_in_prefix(tmp_path: Path, prefix: str, rule: str) -> None:
    [fault] = faults_of(tmp_path, flags={"command_prefix": prefix})
    assert fault.startswith("--command-prefix ")
    assert fault.endswith(f": {rule}")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--timeout", "-3"], f"--timeout -3: {SECONDS_RULE}"),
        (["--default-backend="], f"--default-backend '': must be {BACKENDS}"),
        (["--demo=maybe"], "--demo maybe: must be on, off or auto"),
        (["--log="], "--log '': must be the path of a file"),
        (
            ["--config", "state.txt"],
            "--config state.txt: must be the path of a file that ends in .json, .yaml or .yml",
        ),
        (
            ["--disable-auth", "--host", "0.0.0.0"],
            "--disable-auth: needs a loopback host such as 127.0.0.1, not --host 0.0.0.0",
        ),
        (["--settings", "no-such"], "--settings no-such: must be the path of a file that exists"),
        (["--settings="], "--settings '': must be the path of a file that exists"),
        (["--openrouter-api-key", ""], f"--openrouter-api-key: {KEY_RULE}"),
        (["--gemini-api-key", "a b"], f"--gemini-api-key: {KEY_RULE}"),
    ],
)
def test_fault_in_flags(tmp_path: Path, arguments: list[str], fault: str) -> None:
    assert faults_of(tmp_path, flags=parse(*arguments)) == [fault]


def test_fault_in_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LLM_BACKEND=foo\nGEMINI_API_KEY='a b'\n")
    assert faults_of(tmp_path) == [
        f".env: GEMINI_API_KEY: {KEY_RULE}",
        f".env: LLM_BACKEND=foo: must be {BACKENDS}",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\nport: abc", f"line 2: port: abc: {PORT_RULE}"),
        ("port:\n  70000", f"line 1: port: 70000: {PORT_RULE}"),
        ("port: true", f"line 1: port: true: {PORT_RULE}"),
        ("port: [1]", f"line 1: port: ['1']: {PORT_RULE}"),
        ("command_prefix: [a]", "line 1: command_prefix: ['a']: must be text"),
        (
            "max_body_mib: 0",
            "line 1: max_body_mib: 0: must be a whole number of MiB greater than 0",
        ),
        (
            "intercept_hosts: api.openai.com",
            "line 1: intercept_hosts: api.openai.com: must be a list of host names",
        ),
        (
            "intercept_hosts:\n  - api.openai.com\n  - https://x/",
            f"line 3: intercept_hosts: https://x/: {HOST_RULE}",
        ),
        ("intercept_hosts: ['*.x']", f"line 1: intercept_hosts: *.x: {HOST_RULE}"),
        ("intercept_hosts: ['x:443']", f"line 1: intercept_hosts: x:443: {HOST_RULE}"),
        ("intercept_hosts:\n-\n- x", f"line 2: intercept_hosts: None: {HOST_RULE}"),
        ("intercept_hosts:\n- a: 1", f"line 2: intercept_hosts: {{'a': '1'}}: {HOST_RULE}"),
        ("allowed_origins: [app.example]", f"line 1: allowed_origins: app.example: {ORIGIN_RULE}"),
        (
            "allowed_origins: ['https://a/b']",
            f"line 1: allowed_origins: https://a/b: {ORIGIN_RULE}",
        ),
        ("port: 1\nprot: 8000", "line 2: unknown setting 'prot'; did you mean 'port'?"),
        (
            "Default-Backend: x",
            "line 1: unknown setting 'Default-Backend'; did you mean 'default_backend'?",
        ),
        ("xyzzy: 1", "line 1: unknown setting 'xyzzy'"),
        ("port: 1\nhost: ::1\nport: 2", "line 3: 'port' is given twice"),
        ("- port", "line 1: must be a list of 'setting: value' lines"),
        ("port", "line 1: must be a list of 'setting: value' lines"),
        ("port: 1\nhost: a: b", "line 2: mapping values are not allowed here"),
        ("port: 1\n---\nport: 2", "line 2: but found another document"),
        ("command_prefix: !/", "line 1: text that starts with '!' needs quotes"),
        ("? [a]\n: 1", "line 1: a key must be text"),
        ("port: &a [*a]", "line 1: nested too deeply"),
        ("\nport: \0", "line 2: special characters are not allowed"),
        ("demo: on", "line 1: 'demo' does not belong here, use --demo"),
    ],
)
def test_fault_in_yaml(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "proxy.yaml").write_text(text)
    assert faults_of(tmp_path) == [f"proxy.yaml {fault}"]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openrouter_api_key", "OPENROUTER_API_KEY"),
        ("openrouter_api_keys", "OPENROUTER_API_KEY"),
        ("openrouter-api-key", "OPENROUTER_API_KEY"),
        ("OPENROUTER_API_KEY_1", "OPENROUTER_API_KEY"),
        ("GEMINI_API_KEY", "GEMINI_API_KEY"),
        ("client_key", "LLM_INTERACTIVE_PROXY_API_KEY"),
        ("LLM_INTERACTIVE_PROXY_API_KEY", "LLM_INTERACTIVE_PROXY_API_KEY"),
    ],
)
def test_keys_do_not_belong_in_yaml(tmp_path: Path, name: str, variable: str) -> None:
    (tmp_path / "proxy.yaml").write_text(f"# keys\n{name}: secret\n")
    assert faults_of(tmp_path, environ={variable: "other-key"}) == [
        f"proxy.yaml line 2: '{name}' does not belong here, "
        f"use {variable} in the environment or .env"
    ]


@pytest.mark.parametrize("name", [".env", "proxy.yaml"])
def test_file_that_is_no_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe")
    assert faults_of(tmp_path) == [f"{tmp_path / name}: must be UTF-8 text"]


def test_all_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "proxy.yaml").write_text("keep_alive: 0\nnonsense: 1\n")
    (tmp_path / ".env").write_text("GEMINI_API_KEY='a b'\n")
    assert faults_of(tmp_path, flags={"timeout": "x"}, environ={"PROXY_PORT": "x"}) == [
        "proxy.yaml line 2: unknown setting 'nonsense'",
        f".env: GEMINI_API_KEY: {KEY_RULE}",
        f"PROXY_PORT=x (environment): {PORT_RULE}",
        f"--timeout x: {SECONDS_RULE}",
        f"proxy.yaml line 1: keep_alive: 0: {SECONDS_RULE}",
    ]
