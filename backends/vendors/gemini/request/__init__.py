"""A chat request, translated into Gemini's."""
