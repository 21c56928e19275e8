"""Converts JSON Schemas of tools and structured output to Gemini's formats."""
