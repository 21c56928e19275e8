"""Translates the items of a conversation to messages of a chat.

A model's turn is several items here (reasoning, text, calls) and one message in a chat.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from backends.dialects import opaque_state
from backends.dialects.responses import compaction
from backends.dialects.responses.content import split_refusal, to_content, to_result
from backends.dialects.responses.store import ResponseStore
from backends.dialects.responses.tools import BUILT_IN_KINDS, TOOL_KINDS, flat_name
from backends.errors import bad_request
from backends.jsonio import Json, Warnings, string

_KINDS = {kind.item_type: (type_name, kind) for type_name, kind in TOOL_KINDS.items()}
"""Types and kinds of tools, by the type of a call's item."""

_GAP: Json = {"role": "gap"}
"""Marks a dropped item until the messages are complete."""


class History:
    """Reads items one by one."""

    def __init__(self, store: ResponseStore, warnings: Warnings) -> None:
        self._store = store
        self._warnings = warnings
        self._assistant: Json | None = None
        self._details: list[Json] = []
        self._extra_content: dict[str, Any] = {}
        self._unanswered: set[str] = set()
        self._since: list[Json] = []
        """The messages since the model's last call or the last result."""
        self.messages: list[Json] = []
        """Complete after `finish`."""
        self.items: list[Json] = []
        """All items read. The store replaces references."""
        self.tools: list[Any] = []
        """Tools that items declare."""
        self.typed_from = 0
        """Index of the message after the last dropped item. Unknown items count as the model's."""
        self._readers: Mapping[object, Callable[[Json, str], None]] = {
            "message": self._read_message,
            "reasoning": self._read_reasoning,
            "additional_tools": self._read_tools,
            compaction.TRIGGER: self._read_trigger,
            compaction.ITEM: self._read_compaction,
            **dict.fromkeys(_KINDS, self._read_call),
            **{f"{item}_output": self._read_output for item in _KINDS},
            # The model's text contains their results.
            "web_search_call": lambda item, param: self._since.append(_GAP),
        }

    def read(self, items: Iterable[Any], param: str) -> None:
        """Read the items at this path of the request. Raises ApiError (400) for invalid ones."""
        for index, sent in enumerate(items):
            path = f"{param}[{index}]"
            if not isinstance(sent, dict):
                raise bad_request(f"'{path}' must be an object", path)
            item = self._look_up(sent, path)
            self.items.append(item)
            type_name = string(item.get("type")) or "message"
            if reader := self._readers.get(type_name):
                reader(item, path)
            else:
                self._since.append(_GAP)
                self._warnings.append(f"input=items of type {type_name} are not supported")

    @property
    def is_to_compact(self) -> bool:
        """Whether the client asks for a summary of the history."""
        return bool(self.items) and self.items[-1].get("type") == compaction.TRIGGER

    def finish(self) -> None:
        self._end_turn()
        self._settle()
        gaps = [index for index, message in enumerate(self.messages) if message is _GAP]
        self.typed_from = gaps[-1] + 1 - len(gaps) if gaps else 0
        self.messages[:] = (message for message in self.messages if message is not _GAP)
        for message in self.messages:
            for call in message.get("tool_calls", ()):
                if call["id"] in self._extra_content:
                    call["extra_content"] = self._extra_content[call["id"]]

    def _look_up(self, item: Json, param: str) -> Json:
        """The item, from the store if the client sent a reference or no opaque state."""
        type_name = string(item.get("type"))
        found = self._store.find_item(item.get("id"))
        if type_name == "item_reference" or (type_name is None and item.keys() == {"id"}):
            if found is None:
                raise bad_request(f"Item '{item.get('id')}' not found.", f"{param}.id")
            return found
        return found if type_name == "reasoning" and found else item

    # The model's side

    def _read_reasoning(self, item: Json, param: str) -> None:
        """Only the proxy's own opaque state is used. A summary is not the model's reasoning."""
        self._since.append(_GAP)
        if state := opaque_state.unseal(item.get("encrypted_content")):
            self._details += state.details
            self._extra_content |= state.calls

    def _read_call(self, item: Json, param: str) -> None:
        type_name, kind = _KINDS[item["type"]]
        name = type_name if type_name in BUILT_IN_KINDS else item.get("name")
        if not isinstance(name, str):
            raise bad_request(f"'{param}' needs the name of a tool", param)
        id = _call_id(item, param)
        self._unanswered.add(id)
        function = {
            "name": flat_name(item.get("namespace"), name),
            "arguments": kind.arguments_of(item),
        }
        call = {"id": id, "type": "function", "function": function}
        self._turn().setdefault("tool_calls", []).append(call)

    def _read_spoken(self, item: Json) -> None:
        message = self._turn()
        content, refusal = split_refusal(to_content(item.get("content")))
        if content is not None:
            earlier = message["content"]
            if earlier is None:
                message["content"] = content
            else:
                message["content"] = parts = _as_parts(earlier)
                parts += _as_parts(content)
        if refusal:
            message["refusal"] = message.get("refusal", "") + refusal

    def _turn(self) -> Json:
        """The model's message that the items belong to."""
        if self._assistant is None:
            self._assistant = {"role": "assistant", "content": None}
            self._settle()
            self.messages.append(self._assistant)
        return self._assistant

    def _end_turn(self) -> None:
        if self._assistant and self._details:
            self._assistant["reasoning_details"] = self._details
        self._assistant, self._details = None, []

    # The client's side

    def _settle(self) -> None:
        """Let nothing come before the messages so far any more."""
        self.messages += self._since
        self._since.clear()

    def _read_message(self, item: Json, param: str) -> None:
        role = string(item.get("role"))
        if role is None:
            raise bad_request(f"'{param}' needs a 'role'", f"{param}.role")
        if role == "assistant":
            self._read_spoken(item)
            return
        self._end_turn()
        self._since.append({"role": role, "content": to_content(item.get("content"))})

    def _read_output(self, item: Json, param: str) -> None:
        """Insert the result directly after the calls, as a chat requires."""
        self._end_turn()
        id = _call_id(item, param)
        # The output of a patch may be its status only.
        output = item.get("output", item.get("status"))
        message = {"role": "tool", "tool_call_id": id, "content": to_result(output)}
        if id in self._unanswered:
            self._unanswered.remove(id)
        else:
            self._settle()
        self.messages.append(message)

    def _read_trigger(self, item: Json, param: str) -> None:
        self._end_turn()
        self._since.append({"role": "user", "content": compaction.REQUEST})

    def _read_compaction(self, item: Json, param: str) -> None:
        self._end_turn()
        summary = compaction.from_item(item)
        if summary is None:
            self._warnings.append("input=a summary from another provider cannot be read")
            summary = compaction.UNREADABLE
        self._since.append({"role": "user", "content": compaction.SUMMARY + summary})

    def _read_tools(self, item: Json, param: str) -> None:
        tools = item.get("tools")
        self.tools += tools if isinstance(tools, list) else []


def _call_id(item: Json, param: str) -> str:
    id = string(item.get("call_id")) or string(item.get("id"))
    if id is None:
        raise bad_request(f"'{param}' needs a 'call_id'", f"{param}.call_id")
    return id


def _as_parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]
