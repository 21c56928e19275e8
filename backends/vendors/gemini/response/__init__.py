"""Gemini's responses, streams and errors, translated into a chat's."""
