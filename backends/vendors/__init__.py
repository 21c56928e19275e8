"""Vendors: each backend prepares requests for one vendor and reads its responses."""
