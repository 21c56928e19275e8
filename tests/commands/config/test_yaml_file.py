import pytest

from commands.config.yaml_file import KeyPath, read_yaml

TEXT = """\
# comment
routes:
  fast:
  - openrouter:a
  - gemini:b

  slow: {policy: k,
         limit: 007}
empty:
"""


def test_values() -> None:
    assert read_yaml(TEXT, "f").values == {
        "routes": {
            "fast": ["openrouter:a", "gemini:b"],
            "slow": {"policy": "k", "limit": "007"},
        },
        "empty": None,
    }


@pytest.mark.parametrize(
    ("place", "line"),
    [
        pytest.param((), 2, id="top"),
        pytest.param(("routes",), 2, id="a key is where it is written"),
        pytest.param(("routes", "fast", 1), 5, id="item"),
        pytest.param(("routes", "slow", "limit"), 8, id="nested"),
        pytest.param(("routes", "slow", "missing"), 7, id="nearest around"),
    ],
)
def test_where(place: KeyPath, line: int) -> None:
    assert read_yaml(TEXT, "f").where(place) == f"f line {line}"


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "---\n"])
def test_nothing_written(text: str) -> None:
    file = read_yaml(text, "f")
    assert file.values == {}
    assert file.where(("anything",)) == "f line 1"
