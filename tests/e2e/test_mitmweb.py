"""What the user of mitmweb gets to see, in a real browser."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.browser import CHROMIUM
from tests.mitmweb import MitmWeb, converse, running_mitmweb

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

Running = tuple[MitmWeb, openai.OpenAI]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Iterator[Running]:
    with running_mitmweb(tmp_path_factory.mktemp("mitmweb"), confdir) as (web, client):
        converse(client)
        yield web, client


@pytest.fixture
def web(running: Running) -> MitmWeb:
    running[0].open()
    return running[0]


def test_the_list_tells_who_served_and_how_it_went(web: MitmWeb) -> None:
    first, second, failed_over, failed = web.rows(4)
    assert "openrouter:anthropic/claude-sonnet-4.5 | !/set(project=demo) | " in first
    assert "!/set" not in second
    assert "best -> gemini:gemini-2.5-pro | " in failed_over
    assert "attempt 2/2" in failed_over
    assert "\N{CLOCKWISE RIGHTWARDS AND LEFTWARDS OPEN CIRCLE ARROWS}" in failed_over
    assert "openrouter:demo/error-402 | 402 Insufficient credits." in failed
    assert "\N{CROSS MARK}" in failed


@pytest.mark.parametrize(
    ("row", "side", "view", "texts"),
    [
        ("!/set", "Request", "auto", ["system", "a coding agent", "user", "Which tool", "tools"]),
        ("!/set", "Response", "auto", ["assistant", "read_file", '"path": "example",\n  "lines"']),
        ("best", "Request", "auto", ["attempt 2", "user", '"path"', "tool", "def main", "Thanks"]),
        ("best", "Response", "auto", ["assistant", "Hello from gemini-2.5-pro, a simulated"]),
        ("best", "Request", "llm client", ["user", "!/set(project=demo) Which", '"model":"best"']),
        ("best", "Request", "llm upstream", ["user", "Which tool", '{"contents":[{"role":"user"']),
        ("best", "Response", "llm client", ["Hello from", '"delta":{"content":"Hello "}']),
        ("best", "Response", "llm upstream", ["Hello from", '"parts":[{"text":"Hello "}]']),
        ("error-402", "Response", "auto", ["Insufficient credits"]),
    ],
)
def test_views(web: MitmWeb, row: str, side: str, view: str, texts: list[str]) -> None:
    web.show(row, side, view)
    web.expect(*texts)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("~comment gemini", ["best"]),
        ("~marker repeat", ["best"]),
        ("~marker x", ["error-402"]),
        ("~c 402 | ~comment attempt", ["best", "error-402"]),
    ],
)
def test_filters(web: MitmWeb, wanted: str, found: list[str]) -> None:
    web.rows(4)
    web.search(wanted)
    rows = web.rows(len(found))
    assert all(text in row for text, row in zip(found, rows, strict=True))


def test_metadata_is_filtered_by_the_address_of_the_page(web: MitmWeb) -> None:
    """The search box itself does not know `~meta`."""
    web.open('#/flows?s=~meta "llm_attempts: 2"')
    assert "best" in web.rows(1)[0]


def test_the_command_bar_knows_our_commands(web: MitmWeb) -> None:
    web.open("#/flows?c=true")
    web.browser.type(".command input", "llm.status default", enter=True)
    result = "document.querySelector('.command-result').innerText"
    web.browser.wait_for(f"{result}.includes('project: demo')")


def test_a_prompt_is_edited_on_its_way(running: Running, web: MitmWeb) -> None:
    def ask() -> str | None:
        answer = running[1].chat.completions.create(
            model="gemini:gemini-2.5-flash",
            messages=[{"role": "user", "content": "Tell me a story"}],
        )
        return answer.choices[0].message.content

    web.intercept("~q & ~bq Tell")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask)
        web.browser.click("tr.intercepted")
        web.edit('{"contents": [{"parts": [{"text": "Tell me a joke"}]}]}')
        web.browser.click("button", "Done")
        web.expect("Tell me a joke")
        web.browser.click("button", "Resume")
        assert "You said: Tell me a joke" in (answer.result(10) or "")
