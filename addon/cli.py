"""The console script `llm-proxy`: our flags, then mitmdump or mitmweb with the addon in it."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.tools import cmdline, main as tools

from addon.proxy import LlmProxy
from commands.config import SettingsError, load
