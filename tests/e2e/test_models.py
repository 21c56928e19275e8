"""The list of models."""

import pytest
from openai.types import Model

from tests.harness import RunningProxy


def test_the_sdk_lists_both_backends(proxy: RunningProxy, tunnel: bool) -> None:
    models = {model.id: model for model in proxy.openai(tunnel=tunnel).models.list()}
    assert "openrouter:demo/echo" in models
    assert "gemini:gemini-2.5-pro" in models
    echo = models["openrouter:demo/echo"].to_dict()
    assert echo["object"] == "model"
    assert {"created", "owned_by", "context_length", "pricing"} <= echo.keys()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/openrouter:demo/echo",
        "/v1/models/openrouter%3Ademo%2Fecho",
        "/v1/models/openrouter:demo%2Fecho",
        "/models/demo/echo",
    ],
)
def test_one_model(proxy: RunningProxy, path: str) -> None:
    answer = proxy.client().get(path)
    assert Model.model_validate(answer.json()).id == "openrouter:demo/echo"


def test_an_unknown_model(proxy: RunningProxy) -> None:
    answer = proxy.client().get("/v1/models/acme/none")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
