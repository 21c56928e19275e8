from pathlib import Path

from commands.builtin.reference import reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "commands.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == f"{reference()}\n"
