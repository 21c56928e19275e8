"""Content views that show flows as conversations, and a body's answer in the same form."""

from addon.inspect.views.parse import Answer, Call, read_answer
from addon.inspect.views.views import register

__all__ = ["Answer", "Call", "read_answer", "register"]
