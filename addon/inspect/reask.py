"""A recorded prompt put to another model: it comes in by the front door, as a flow of its own."""

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
    """`base_url` is our own, known once we listen."""

    base_url = ""

    def __init__(self, sessions: Sessions, client_key: Key | None) -> None:
        self._sessions = sessions
        self._client_key = client_key

    def start(self, flow: http.HTTPFlow, model: str) -> str:
        """Ask, and say so without waiting for the answer.

        It happens in a session apart, so that the conversation's own settings and history neither
        matter nor change. mitmproxy's CommandError if the flow has no prompt.
        """
        path = _PATHS.get(str(flow.metadata.get(flow_record.ENDPOINT)))
        if path is None:
            raise exceptions.CommandError("this flow has no prompt of ours")
        try:
            body = jsonio.encode({**_prompt(flow), "model": model})
        except (ValueError, TypeError):
            raise exceptions.CommandError("the prompt of this flow was not kept whole") from None
        session = self._sessions.get(f"reask-{flow.id[:8]}")
        project = flow.metadata.get("llm_project")
        session.settings = replace(session.settings, is_interactive=False, project=project)
        asyncio_utils.create_task(
            self._ask(path, body, session.id), name="llm-proxy reask", keep_ref=True
        )
        return f"asking {model}; the new flow belongs to session {session.id}"

    async def _ask(self, path: str, body: bytes, session: str) -> None:
        import httpx  # only here: it would cost a fifth of the start-up

        headers = {"content-type": "application/json", "x-session-id": session}
        if self._client_key:
            headers["authorization"] = f"Bearer {self._client_key.value}"
        try:
            # HTTPS_PROXY may point at ourselves, hence no settings from the environment.
            async with httpx.AsyncClient(
                base_url=self.base_url, headers=headers, trust_env=False, timeout=None
            ) as client:
                await client.post(path, content=body)
        except httpx.HTTPError as error:
            logger.warning("Asking again failed: %s", str(error) or type(error).__name__)


_CHAT = "/v1/chat/completions"
# A prompt is kept as a chat, whatever dialect the client speaks.
_PATHS = {"embeddings": "/v1/embeddings"} | dict.fromkeys(DIALECTS, _CHAT)


def _prompt(flow: http.HTTPFlow) -> dict[str, object]:
    """What the client asked, without commands; ValueError or TypeError if it cannot be read."""
    for data in (
        flow_record.load(flow, flow_record.PROMPT),
        flow_record.load(flow, flow_record.CLIENT_REQUEST),
        flow.request.content,
    ):
        if data is not None:
            return dict(jsonio.decode(data))
    raise ValueError
