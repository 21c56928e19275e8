"""Which upstream serves a prompt: targets, routes, attempts and cooldowns."""
