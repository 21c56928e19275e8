"""Entry point for `mitmdump -s addon/llm_proxy.py`, and for mitmweb and mitmproxy.

mitmproxy runs this file outside `sys.modules`, so it defines nothing. It imports nothing that has
the name of a hook (`load`, `request`), because mitmproxy would call it.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from addon import layers, proxy, sentinel
from addon.program import logs
from commands.config import load
from commands.config.levels import ConfigError

sentinel.post(__file__)
logs.escape_unencodable()
try:
    configured = load.read({}, os.environ, Path.cwd())
    addons = [proxy.LlmProxy(configured.settings, layers.incompatibility(), configured.warning)]
except ConfigError as problem:
    # mitmproxy only logs other exceptions, and would continue as an open proxy.
    raise SystemExit(str(problem)) from None
