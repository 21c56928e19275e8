"""The README's table of settings is complete."""

from pathlib import Path

import pytest

from commands.config.model import CONFIG_FIELDS
from commands.config.sources import ConfigField

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("setting", CONFIG_FIELDS, ids=lambda setting: setting.name)
def test_every_setting_has_its_row(setting: ConfigField) -> None:
    names = [setting.flag, setting.env, None if setting.read else setting.name]
    wanted = [f"`{name}`" for name in names if name and (setting.in_yaml or name == setting.flag)]
    rows = [line for line in README.splitlines() if line.startswith("|")]
    found = [row for row in rows if all(name in row for name in wanted)]
    assert found, f"README.md needs a row of its table of settings with {', '.join(wanted)}"
