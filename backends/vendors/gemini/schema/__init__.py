"""JSON Schemas for tools and structured output, in the forms that Gemini takes."""
