"""Loads the configuration, and keeps the changes of commands in a file."""
