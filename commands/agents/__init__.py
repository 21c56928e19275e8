"""Recognises coding agents, shapes replies for them, and finds what a human typed into them."""
