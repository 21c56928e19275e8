"""Coding agents: how each is recognised, shown a reply, and which text a human typed into it."""
