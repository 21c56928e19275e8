"""Translates requests, responses, streams and errors between clients and vendors. No sockets."""
