"""Chooses the upstream of a prompt: targets, routes, attempts and cooldowns."""
