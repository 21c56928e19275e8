from pathlib import Path

from commands.builtin.reference import reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "commands.md"


def test_page_is_up_to_date() -> None:
    is_same = PAGE.read_text("utf-8") == f"{reference()}\n"
    assert is_same, "run python -m commands.builtin.reference > docs/commands.md"
