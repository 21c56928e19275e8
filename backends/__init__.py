"""The wires of the vendors: requests, answers, streams, errors. No sockets."""
