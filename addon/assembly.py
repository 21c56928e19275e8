"""The chat endpoint put together as the settings say."""

import time
import uuid
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

from addon.demo import start
from addon.endpoints.chat import ChatEndpoint
from addon.endpoints.model_catalog import ModelsList
from addon.exchange.history import SessionLog
from backends.dialects.registry import DIALECTS
from backends.model_id import BACKEND_NAMES
from backends.redact import Redactor
from backends.vendors.registry import ConfiguredBackends, make_backends
from commands.config.model import Settings
from commands.routing.routes import Route, Routes
from commands.sessions.session import Sessions
from commands.settings import GlobalSettings, SessionSettings
from commands.turns.processor import Desk
from commands.turns.proxy_state import Controls

PRODUCT = "llm-interactive-proxy"
VERSION = version(PRODUCT)


def make_chat(settings: Settings, models: ModelsList, redactor: Redactor) -> ChatEndpoint:
    """Raises SettingsError if the file of `--config` is broken."""
    log_dir = settings.sessions.log_dir
    return ChatEndpoint(
        _upstreams(settings),
        models,
        _desk(settings),
        _sessions(settings),
        redactor,
        mapping=settings.model_mapping,
        is_project_required=settings.force_set_project,
        is_sticky=settings.sticky,
        read_timeout_s={
            name: settings.timeouts.get(name, settings.timeout) for name in BACKEND_NAMES
        },
        max_body_bytes=settings.max_body_mib * 2**20,
        readers={
            name: dialect.make_reader(time.time, lambda: uuid.uuid4().hex)
            for name, dialect in DIALECTS.items()
        },
        log=SessionLog(log_dir) if log_dir else None,
    )


def stand_in(settings: Settings) -> AbstractAsyncContextManager[ConfiguredBackends] | None:
    """What is asked in the place of the vendors, if anything is.

    Raises SettingsError if a cassette cannot be played back.
    """
    if settings.playback:
        from addon.cassettes import files, server  # imported only if they are used

        is_timed = settings.playback_timing == "recorded"
        return server.upstreams(files.load(settings.playback), is_timed)
    return start.upstreams(settings) if settings.is_demo else None


def _desk(settings: Settings) -> Desk:
    configured = GlobalSettings(
        settings.effective_default_backend,
        settings.redact_api_keys_in_prompts,
        settings.command_prefix,
    )
    routes = {
        name: Route(name, section.policy, section.elements)
        for name, section in settings.failover_routes.items()
    }
    controls = Controls(
        configured,
        f"{PRODUCT} {VERSION}",
        routes=Routes(routes),
        state_file=settings.config,
        chat_may_change=settings.chat_may_change,
    )
    return Desk(controls, are_commands_enabled=not settings.disable_interactive_commands)


def _sessions(settings: Settings) -> Sessions:
    initial = SessionSettings(is_interactive=not settings.disable_interactive_mode)
    return Sessions(initial, settings.sessions.max, settings.sessions.history)


def _upstreams(settings: Settings) -> ConfiguredBackends:
    backends = make_backends(
        openrouter_url=settings.openrouter_api_base_url,
        gemini_url=settings.gemini_api_base_url,
        site_url=settings.app_site_url,
        app_title=settings.app_x_title,
    )
    return ConfiguredBackends(backends, settings.api_keys)
