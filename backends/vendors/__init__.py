"""Whom the proxy asks: each vendor prepares requests in its own wire and reads the responses."""
