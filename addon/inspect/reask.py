"""Sends a recorded prompt to another model, as a new request to this proxy."""

import logging
from dataclasses import replace

from mitmproxy import exceptions, http
from mitmproxy.utils import asyncio_utils

from addon.exchange import flow_record
from backends import jsonio
from backends.dialects.registry import DIALECTS
from backends.keys import Key
from commands.sessions.session import Sessions

logger = logging.getLogger(__name__)


class Reask:
    base_url = ""
    """The proxy's own URL, set when it listens."""

    def __init__(self, sessions: Sessions, client_key: Key | None) -> None:
        self._sessions = sessions
        self._client_key = client_key

    def start(self, flow: http.HTTPFlow, model: str) -> str:
        """Start the request and return a line about it, without waiting for the response.

        It runs in a session of its own: the conversation's settings and history do not affect it,
        and do not change. Raises mitmproxy's CommandError if the flow has no prompt.
        """
        path = _PATHS.get(str(flow.metadata.get(flow_record.ENDPOINT)))
        if path is None:
            raise exceptions.CommandError("not a model request")
        try:
            body = jsonio.encode({**_prompt(flow), "model": model})
        except (ValueError, TypeError):
            raise exceptions.CommandError("the recorded prompt is incomplete") from None
        session = self._sessions.get(f"reask-{flow.id[:8]}")
        project = flow.metadata.get("llm_project")
        session.settings = replace(session.settings, is_interactive=False, project=project)
        asyncio_utils.create_task(
            self._send(path, body, session.id), name="llm-proxy reask", keep_ref=True
        )
        return f"asking {model}; the new flow belongs to session {session.id}"

    async def _send(self, path: str, body: bytes, session: str) -> None:
        import httpx  # only here: importing it takes a fifth of the startup

        headers = {"content-type": "application/json", "x-session-id": session}
        if self._client_key:
            headers["authorization"] = f"Bearer {self._client_key.value}"
        try:
            # trust_env=False: HTTPS_PROXY may point at this proxy.
            async with httpx.AsyncClient(
                base_url=self.base_url, headers=headers, trust_env=False, timeout=None
            ) as client:
                await client.post(path, content=body)
        except httpx.HTTPError as error:
            logger.warning("llm.reask failed: %s", str(error) or type(error).__name__)


_CHAT = "/v1/chat/completions"
# Prompts are recorded as chat requests, whatever the client's dialect.
_PATHS = {"embeddings": "/v1/embeddings"} | dict.fromkeys(DIALECTS, _CHAT)


def _prompt(flow: http.HTTPFlow) -> dict[str, object]:
    """The client's request without commands. Raises ValueError or TypeError if it is unreadable."""
    for data in (
        flow_record.load(flow, flow_record.PROMPT),
        flow_record.load(flow, flow_record.CLIENT_REQUEST),
        flow.request.content,
    ):
        if data is not None:
            return dict(jsonio.decode(data))
    raise ValueError
