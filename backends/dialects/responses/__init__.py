"""OpenAI's Responses API towards the client, on top of the chat form inside."""
