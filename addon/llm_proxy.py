"""The entry for `mitmdump -s addon/llm_proxy.py` (mitmweb and mitmproxy alike).

mitmproxy runs this file under a name of its own and without a place in `sys.modules`, so nothing is
defined here. Nor is anything imported whose name is a hook's (`load`, `request`): mitmproxy would
call it.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from addon import layers, proxy, sentinel
from commands.config import load
from commands.config.levels import ConfigError

sentinel.post(__file__)
try:
    configured = load.read({}, os.environ, Path.cwd())
    addons = [proxy.LlmProxy(configured.settings, layers.incompatibility(), configured.warning)]
except ConfigError as problem:
    # SystemExit, and not an error that mitmproxy would log: without us it would be an open proxy.
    raise SystemExit(str(problem)) from None
