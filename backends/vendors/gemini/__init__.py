"""Google Gemini through its native API."""
