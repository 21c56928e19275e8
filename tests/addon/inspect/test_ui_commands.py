"""The list of commands in the guide to mitmweb is made from their table."""

from pathlib import Path

from addon.inspect.ui_commands import reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "inspect.md"


def test_page_is_up_to_date() -> None:
    assert f"\n\n{reference()}\n\n" in PAGE.read_text("utf-8")
