"""Translates chat requests to Gemini's."""
