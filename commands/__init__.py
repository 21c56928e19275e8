"""Chat commands, sessions, settings and routing. No sockets."""
