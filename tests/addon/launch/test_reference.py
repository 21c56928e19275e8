"""The guide in `docs/` is the one that the table of agents makes."""

from pathlib import Path

from addon.launch.reference import reference


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "agents.md"
    is_same = page.read_text("utf-8") == reference() + "\n"
    assert is_same, "run python -m addon.launch.reference > docs/agents.md"
