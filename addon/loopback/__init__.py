"""A server on loopback that plays answers step by step: simulated ones, and recorded ones."""
