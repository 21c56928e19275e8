"""Finds out what is wrong with the proxy, an agent or their surroundings."""
