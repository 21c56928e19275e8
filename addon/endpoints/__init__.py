"""Endpoints of the proxy: matching, admission and handling of requests."""
