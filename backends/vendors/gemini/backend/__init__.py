"""Gemini as a backend: its calls, their retries, embeddings and models."""
