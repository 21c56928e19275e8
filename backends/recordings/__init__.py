"""Recorded requests and responses, matched by content and played instead of a vendor."""
