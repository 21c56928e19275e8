"""Keeps the settings and history of conversations, and finds the id of each."""
