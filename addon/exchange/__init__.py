"""The state of one client request: its attempts, responses, captured bodies and history entry."""
