"""The dialect of OpenAI's Responses API, on top of the internal chat form."""
