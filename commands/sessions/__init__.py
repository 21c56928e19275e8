"""Sessions: the settings and history of one conversation, and the id that tells it from others."""
