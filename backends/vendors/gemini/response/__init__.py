"""Translates Gemini's responses, streams and errors to chat completions."""
