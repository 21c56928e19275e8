"""Builds the endpoints' dependencies from the settings."""

import time
import uuid
from contextlib import AbstractAsyncContextManager

from addon.demo import start
from addon.endpoints.deps import EndpointDeps
from addon.endpoints.model_catalog import ModelCatalog
from addon.exchange.history import SessionLog
from addon.program.product import PRODUCT, VERSION
from backends.dialects.registry import DIALECTS
from backends.redact import Redactor
from backends.vendors.registry import VENDORS, ConfiguredBackends, make_backends
from commands.config.model import Config
from commands.routing.routes import Route, Routes
from commands.routing.target import NameTables
from commands.sessions.session import Sessions
from commands.settings import ProxySettings, SessionSettings
from commands.turns.processor import CommandProcessor
from commands.turns.proxy_state import ProxyState


def make_deps(settings: Config, redactor: Redactor) -> EndpointDeps:
    """Raises SettingsError if the file of `--config` is broken."""
    log_dir = settings.sessions.log_dir
    return EndpointDeps(
        configured=_configured(settings),
        models=ModelCatalog(settings.models_max_age),
        processor=_command_processor(settings),
        sessions=_sessions(settings),
        redactor=redactor,
        readers={
            name: dialect.make_reader(time.time, lambda: uuid.uuid4().hex)
            for name, dialect in DIALECTS.items()
        },
        read_timeout_s={name: settings.timeouts.get(name, settings.timeout) for name in VENDORS},
        max_body_bytes=settings.max_body_mib * 2**20,
        is_project_required=settings.force_set_project,
        is_sticky=settings.sticky,
        log=SessionLog(log_dir) if log_dir else None,
    )


def local_upstream(settings: Config) -> AbstractAsyncContextManager[ConfiguredBackends] | None:
    """The local upstream (demo or playback) that replaces the vendors, or None.

    Raises SettingsError if a cassette cannot be played back.
    """
    if settings.playback:
        from addon.cassettes import files, server  # imported only when used

        is_timed = settings.playback_timing == "recorded"
        return server.upstreams(files.load(settings.playback, VENDORS), is_timed)
    return start.upstreams(settings) if settings.is_demo else None


def _command_processor(settings: Config) -> CommandProcessor:
    configured = ProxySettings(
        settings.effective_default_backend,
        settings.redact_api_keys_in_prompts,
        settings.command_prefix,
    )
    routes = {
        name: Route(name, section.policy, section.elements)
        for name, section in settings.failover_routes.items()
    }
    proxy_state = ProxyState(
        configured,
        f"{PRODUCT} {VERSION}",
        VENDORS,
        routes=Routes(routes),
        names=NameTables(settings.aliases, settings.model_mapping),
        is_sticky=settings.sticky,
        state_file=settings.config,
        chat_may_change=settings.chat_may_change,
    )
    return CommandProcessor(
        proxy_state, are_commands_enabled=not settings.disable_interactive_commands
    )


def _sessions(settings: Config) -> Sessions:
    initial = SessionSettings(is_interactive=not settings.disable_interactive_mode)
    return Sessions(initial, settings.sessions.max, settings.sessions.history)


def _configured(settings: Config) -> ConfiguredBackends:
    backends = make_backends(settings.base_urls, settings.app_site_url, settings.app_x_title)
    return ConfiguredBackends(backends, settings.api_keys)
