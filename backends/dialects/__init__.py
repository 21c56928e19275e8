"""Client protocols: each dialect reads requests as chats and writes completions as responses."""
