"""Cassettes: files that exchanges are recorded in, and the server that plays them back."""
