"""The commands there are. A new one is a decorated function in one of the modules here."""

from commands.builtin import help, report, route, setting
from commands.language.registry import Registry

COMMANDS = Registry(help, report, route, setting)
