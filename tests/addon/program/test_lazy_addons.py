"""The import of mitmproxy's addons is delayed until one is used."""

import subprocess
import sys

SCRIPT = """
import sys
from addon.program import lazy_addons
lazy_addons.install()
from addon import proxy
from addon.program import masters
assert not {"flask", "ldap3"} & sys.modules.keys()
from mitmproxy import addons
from mitmproxy.addons import core
every = [type(each).__name__ for each in addons.default_addons()]
assert {"Core", "Onboarding", "ProxyAuth"} <= set(every)
assert {"flask", "ldap3"} <= sys.modules.keys()
assert any(type(each) is core.Core for each in addons.default_addons())
lazy_addons.install()
assert len(addons.default_addons()) == len(every)
"""


def test_the_rest_is_imported_on_demand() -> None:
    """In a process of its own, since nothing is imported twice."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
