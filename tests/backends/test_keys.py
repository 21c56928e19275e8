import pytest

from backends.keys import InvalidKey, Key, read_key, read_keys


def test_key_does_not_print_its_value() -> None:
    key = Key("GEMINI_API_KEY", "secret-value")
    assert "secret-value" not in f"{key} {key!r} {(key,)}"
    assert "GEMINI_API_KEY" in repr(key)


@pytest.mark.parametrize(
    "value",
    ["", "two words", "tab\tinside", "line\nbreak", "nul\0", "zero\u200bwidth", "schlüssel"],
)
def test_unusable_value(value: str) -> None:
    with pytest.raises(InvalidKey, match=r"^K: must be one word of printable ASCII") as raised:
        Key("K", value)
    assert not value or value not in str(raised.value)


def test_read_key() -> None:
    assert read_key("K", {"K": "key-aaaa"}) == Key("K", "key-aaaa")
    assert read_key("K", {"K_1": "key-aaaa"}) is None


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        pytest.param({}, [], id="none"),
        pytest.param({"K": "key-aaaa"}, ["K"], id="single"),
        pytest.param({"K_1": "key-aaaa"}, ["K_1"], id="one numbered"),
        pytest.param(
            {"K_10": "key-cccc", "K_2": "key-bbbb", "K_1": "key-aaaa"},
            ["K_1", "K_2", "K_10"],
            id="by number",
        ),
        pytest.param({"K_20": "key-bbbb", "K_3": "key-aaaa"}, ["K_3", "K_20"], id="gaps"),
        pytest.param({"K_FILE": "x", "KK": "x", "K_": "x"}, [], id="similar names"),
    ],
)
def test_read_keys(variables: dict[str, str], names: list[str]) -> None:
    assert read_keys("K", variables) == tuple(Key(name, variables[name]) for name in names)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        pytest.param(
            {"K": "key-aaaa", "K_2": "key-bbbb"},
            "K: cannot be set together with K_2",
            id="both forms",
        ),
        pytest.param(
            {"K_21": "key-aaaa"}, "K_21: keys are numbered from 1 to 20", id="number too high"
        ),
        pytest.param({"K_0": "key-aaaa"}, "K_0: keys are numbered from 1 to 20", id="zero"),
        pytest.param(
            {"K_01": "key-aaaa"}, "K_01: keys are numbered from 1 to 20", id="leading zero"
        ),
        pytest.param({"K": "1234567"}, "K: must have at least 8 characters", id="too short"),
        pytest.param(
            {"K_1": "key-aaaa", "K_2": "b c"}, "K_2: must be one word", id="unusable value"
        ),
    ],
)
def test_read_keys_refuses(variables: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidKey, match=f"^{message}"):
        read_keys("K", variables)


def test_a_proof_is_of_one_key_and_one_nonce() -> None:
    proofs = {
        Key("NAME", value).proof(nonce) for value in ("a-key", "b-key") for nonce in "xy\udc80"
    }
    assert len(proofs) == 6
    assert Key("NAME", "a-key").proof("x") == Key("OTHER_NAME", "a-key").proof("x")
