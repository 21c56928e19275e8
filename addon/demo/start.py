"""Starts the demo: simulated upstreams on loopback, so that the first run needs no key."""

import contextlib
from collections.abc import AsyncIterator

from backends.keys import Key
from backends.vendors.registry import ConfiguredBackends, make_backends
from commands.config.model import Config

MODEL = "openrouter:demo/echo"
KEY = Key("DEMO_KEY", "demo")


@contextlib.asynccontextmanager
async def upstreams(settings: Config) -> AsyncIterator[ConfiguredBackends]:
    """Run simulated upstreams; configured keys are not used."""
    from addon.demo.simulator import Simulator  # only loaded for the demo

    simulator = await Simulator.start(keep_requests=1)
    try:
        urls = {"openrouter": simulator.openrouter_url, "gemini": simulator.gemini_url}
        backends = make_backends(
            {**settings.base_urls, **urls}, settings.app_site_url, settings.app_x_title
        )
        yield ConfiguredBackends(backends, {name: [KEY] for name in urls})
    finally:
        await simulator.close()


def hint(base_url: str, client_key: str | None) -> str:
    """Lines for the terminal: an explanation and a command to paste."""
    auth = f' \\\n    -H "Authorization: Bearer {client_key}"' if client_key else ""
    body = f'{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Hello!"}}]}}'
    return (
        "Demo: OpenRouter and Gemini are simulated, nothing leaves this machine. Try:\n\n"
        f"  curl -N {base_url}/chat/completions{auth} \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        f"    -d '{body}'\n\n"
        f"GET {base_url}/models lists the simulated models, some of which fail on purpose.\n"
        "For real models put OPENROUTER_API_KEY=... into the environment or .env and restart.\n"
    )
