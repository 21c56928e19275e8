"""The language in the chat, sessions, settings, and which upstream serves. No sockets."""
