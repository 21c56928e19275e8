"""Content views that show flows as conversations, and a body's answer in the same form."""

from addon.inspect.views.parse import ModelResponse, ToolCall, read_response
from addon.inspect.views.views import register

__all__ = ["ModelResponse", "ToolCall", "read_response", "register"]
