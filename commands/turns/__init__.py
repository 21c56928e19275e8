"""One turn of a conversation: its commands run, what they change, what remains of the request."""
