"""Processes the turns of conversations: runs commands and keeps their effects."""
