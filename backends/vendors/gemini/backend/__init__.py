"""Gemini as a `Backend`: calls, retries, embeddings, list of models."""
