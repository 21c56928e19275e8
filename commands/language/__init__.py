"""Finds commands in what the human typed, and declares what a command is."""
