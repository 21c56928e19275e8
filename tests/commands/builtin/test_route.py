import pytest

from commands.settings import SessionSettings
from tests.commands.builtin.chat import new_context, refused, run

CREATE = "create-failover-route(name=n,policy=k)"
INTERACTIVE = "This llm-interactive-proxy session is now set to interactive mode"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["create-failover-route(name=n,policy=k)"], "failover route n created with policy k"),
        (["create-failover-route(name=n,policy=MK)"], "failover route n created with policy mk"),
        ([CREATE, "delete-failover-route(name=n)"], "failover route n deleted"),
        (
            [CREATE, "delete-failover-route(name=n)", "list-failover-routes"],
            "no failover routes defined",
        ),
        (["list-failover-routes"], "no failover routes defined"),
        (
            [CREATE, "create-failover-route(policy=mk,name=other)", "list-failover-routes"],
            "n:k, other:mk",
        ),
        ([CREATE, "route-list(name=n)"], "<empty>"),
        ([CREATE, "route-append(name=n,openrouter:foo)"], "elements appended to n"),
        ([CREATE, "route-prepend(openrouter:foo,name=n)"], "elements prepended to n"),
        ([CREATE, "route-append(name=n,elements='gemini:b, gemini:c')"], "elements appended to n"),
        (["create-failover-route(name=n)"], "failover route n created with policy km"),
        (
            ["create-failover-route(name=n, gemini:a, openrouter:foo)"],
            "failover route n created with policy km: gemini:a, openrouter:foo",
        ),
        (
            ["create-failover-route(name=n, policy=m, elements=gemini:a, openrouter:foo)"],
            "failover route n created with policy m: gemini:a, openrouter:foo",
        ),
        # A model that the list of its backend lacks is added all the same.
        (
            [CREATE, "route-append(name=n,gemini:a,openrouter:foot)"],
            "elements appended to n; warning: model openrouter:foot not available; "
            "did you mean 'openrouter:foo'?",
        ),
        (
            [CREATE, "route-append(name=n,openrouter:foot)", "route-list(name=n)"],
            "openrouter:foot",
        ),
        (
            [CREATE, "route-append(name=n,barrel)"],
            "elements appended to n; barrel -> openrouter:vendor/barrel (the models of openrouter)",
        ),
        (
            [
                CREATE,
                "route-append(name=n,openrouter:a,gemini:b)",
                "route-append(name=n,gemini:c)",
                "route-prepend(name=n,gemini:d,openrouter:e/f:free)",
                "route-list(name=n)",
            ],
            "gemini:d, openrouter:e/f:free, openrouter:a, gemini:b, gemini:c",
        ),
        ([CREATE, "route-clear(name=n)"], "route n cleared"),
        (
            [CREATE, "route-append(name=n,gemini:a)", "route-clear(name=n)", "route-list(name=n)"],
            "<empty>",
        ),
        ([CREATE, "route-append(name=n,gemini:a)", CREATE, "route-list(name=n)"], "<empty>"),
    ],
)
def test_confirmations(texts: list[str], expected: str) -> None:
    context = new_context()
    assert [run(context, text) for text in texts][-1] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, "create-failover-route requires name and valid policy: name is missing")
            for text in ("create-failover-route()", "create-failover-route(policy=k)")
        ),
        (
            "create-failover-route(name=n,policy=x)",
            "create-failover-route requires name and valid policy: policy must be one of k, m, "
            "km, mk, not 'x'",
        ),
        (
            "create-failover-route(name=n,nobody:a)",
            "route element 'nobody:a': backend nobody not supported",
        ),
        (
            "create-failover-route(name='a\nb',policy=k)",
            "route name must be one line of text",
        ),
        ("delete-failover-route(name=x)", "route x not found"),
        ("delete-failover-route(name=nights)", "route nights not found; did you mean 'night'?"),
        ("delete-failover-route()", "delete-failover-route requires name"),
        (
            "delete-failover-route(night)",
            "delete-failover-route: unknown parameter night; "
            "format: delete-failover-route(name=<route>)",
        ),
        ("route-list(name=x)", "route x not found"),
        ("route-append(name=x,gemini:a)", "route x not found"),
        ("route-append(name=night)", "no route elements specified"),
        ("route-prepend(name=night)", "no route elements specified"),
        ("route-append(name=night,night)", "route element 'night': is a route itself"),
        (
            "route-append(name=night,a)",
            "route element 'a': model a not available",
        ),
        ("route-prepend(name=night,gemini:a,x:b)", "route element 'x:b': backend x not supported"),
        ("route-clear(name=x)", "route x not found"),
    ],
)
def test_refusals(text: str, expected: str) -> None:
    context = new_context()
    run(context, "create-failover-route(name=night,policy=m)")
    assert refused(context, text) == expected


def test_interactive_mode_is_switched_on() -> None:
    context = new_context()
    for text, message in (
        (CREATE, "failover route n created with policy k"),
        ("route-append(name=n,gemini:a)", "elements appended to n"),
        ("route-prepend(name=n,gemini:a)", "elements prepended to n"),
        ("route-list(name=n)", "gemini:a, gemini:a"),
        ("list-failover-routes", "n:k"),
        ("route-clear(name=n)", "route n cleared"),
        ("delete-failover-route(name=n)", "failover route n deleted"),
    ):
        context.session = SessionSettings(is_interactive=False)
        assert run(context, text) == f"{INTERACTIVE}; {message}"
        assert context.session.is_interactive
