"""Agents started so that they use the proxy: `llm-proxy run`, `env` and `doctor`.

Nobody's configuration files are changed: everything is told by the agent's environment and by
arguments on its command line.
"""
