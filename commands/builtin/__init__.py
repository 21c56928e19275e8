"""All commands. To add one, write a decorated function in a module here."""

from commands.builtin import help, report, route, setting
from commands.language.registry import Registry

COMMANDS = Registry(help, report, route, setting)
