"""mitmproxy's package of add-ons, with only those that somebody imports.

The package imports all of its add-ons when it is imported itself, and with them Flask, LDAP and
Werkzeug: a sixth of the time that a start takes.
"""

import importlib.util
import sys
from typing import Any

import mitmproxy

NAME = "mitmproxy.addons"


def defer() -> None:
    """Leave the package as it is before it runs, until somebody wants its `default_addons`.

    To be called before anything imports the package; afterwards it does nothing.
    """
    spec = importlib.util.find_spec(NAME)
    if NAME in sys.modules or spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def default_addons() -> list[Any]:
        loader.exec_module(package)  # which puts its own function in the place of this one
        all_addons: list[Any] = package.default_addons()
        return all_addons

    setattr(package, default_addons.__name__, default_addons)
    setattr(mitmproxy, "addons", package)  # noqa: B010  # for mypy
    sys.modules[NAME] = package
