"""Starts agents so that they use the proxy: `llm-proxy run`, `env` and `doctor`.

It changes no configuration files, only an agent's environment and command line.
"""
