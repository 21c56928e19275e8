"""mitmproxy content views that show requests and responses as conversations."""

from addon.inspect.views.parse import Clean, ModelResponse, ToolCall, read_response
from addon.inspect.views.views import register

__all__ = ["Clean", "ModelResponse", "ToolCall", "read_response", "register"]
