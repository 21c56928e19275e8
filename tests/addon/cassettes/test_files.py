"""Files of flows: what is appended to them, what is read from them, how its answers are played."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.exceptions import FlowReadException
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from addon.cassettes import files
from addon.cassettes.files import Recorder
from addon.cassettes.server import CassetteServer
from addon.exchange import flow_record
from addon.loopback.script import Pause, ReceivedRequest, Send
from backends import jsonio
from backends.keys import Key
from backends.recordings.cassette import Cassette, Recording
from backends.vendors.openai_compatible import credential_of
from backends.vendors.registry import VENDORS
from commands.config.levels import ConfigError
from commands.config.load import load

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
OURS = {"llm_endpoint": "chat", "llm_backend": "openrouter", "llm_model": "openrouter:x"}


def flow_of(
    request: object = HELLO, body: bytes = b"{}", metadata: Mapping[str, Any] = OURS
) -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.request.content = jsonio.encode(request)
    flow.response = http.Response.make(200, body, {"content-type": "application/json"})
    flow.metadata.update(metadata)
    return flow


def written(path: Path, *flows: http.HTTPFlow) -> Path:
    with path.open("wb") as file:
        for flow in flows:
            FlowWriter(file).add(flow)
    return path


def bodies(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        flows = list(FlowReader(file).stream())
    return [
        flow.response.content or b""
        for flow in flows
        if isinstance(flow, http.HTTPFlow)
        if flow.response
    ]


# Recording


def test_a_recording_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    path = written(tmp_path / "run.mitm", flow_of(body=b"1"))
    recorder = Recorder(path)
    recorder.add(flow_of(body=b"2"))
    assert bodies(path) == [b"1", b"2"]  # already now
    Recorder(path).add(flow_of(body=b"3"))
    assert bodies(path) == [b"1", b"2", b"3"]


UNFIT = {
    "a text": b"hello",
    "a HAR file": b'{"log": {"entries": []}}',
    "a HAR file with a mark": b'\xef\xbb\xbf{"log": {"entries": []}}',
    "a length without end": b"999999999999:x",
    "a flow without type": b"16:7:version;2:21#}",
}


@pytest.mark.parametrize("content", UNFIT.values(), ids=UNFIT)
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot record to it: not a flow file"):
        Recorder(path)
    with pytest.raises(ConfigError, match="cannot play it back: "):
        files.load(path, VENDORS)
    assert path.read_bytes() == content


def test_nothing_is_appended_to_half_a_flow(tmp_path: Path) -> None:
    path = written(tmp_path / "run.mitm", flow_of(), flow_of())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="its last flow is truncated"):
        Recorder(path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot record to it: Is a directory"):
        Recorder(tmp_path)
    with pytest.raises(ConfigError, match="cannot play it back: No such file"):
        files.load(tmp_path / "none", VENDORS)


def test_a_recording_that_fails_ends_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    recorder = Recorder(folder / "run.mitm")
    (folder / "run.mitm").unlink()
    folder.rmdir()
    recorder.add(flow_of())
    folder.mkdir()
    recorder.add(flow_of())
    assert [each.message for each in caplog.records] == [
        f"Recording to {folder / 'run.mitm'} stopped: No such file or directory"
    ]
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
def test_half_a_flow_is_taken_back_when_the_disk_is_full(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "run.mitm"
    recorder = Recorder(path)
    recorder.add(flow_of(body=b"1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
        recorder.add(flow_of(body=b"2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert bodies(path) == [b"1"]
    Recorder(path).add(flow_of(body=b"3"))
    assert bodies(path) == [b"1", b"3"]
    assert path.stat().st_mode & 0o077 == 0


# Reading


def test_the_prompt_is_the_side_nearest_to_the_model(tmp_path: Path) -> None:
    sides = {
        flow_record.CLIENT_REQUEST: HELLO | {"model": "as it came"},
        flow_record.PROMPT: HELLO | {"model": "without commands"},
    }
    flows = [flow_of({"contents": []}, metadata=OURS) for _ in range(3)]
    for flow in flows[1:]:
        flow_record.save(
            flow, flow_record.CLIENT_REQUEST, jsonio.encode(sides[flow_record.CLIENT_REQUEST])
        )
    flow_record.save(flows[2], flow_record.PROMPT, jsonio.encode(sides[flow_record.PROMPT]))
    tape = files.load(written(tmp_path / "run.mitm", flow_of(), *flows), VENDORS)
    assert len(tape.recordings) == 3  # the second flow's request is in the upstream's form only
    assert tape.find("chat", HELLO) == 0
    assert tape.find("chat", sides[flow_record.CLIENT_REQUEST]) == 1
    assert tape.find("chat", sides[flow_record.PROMPT]) == 2


FOREIGN: dict[str, dict[str, Any]] = {
    "somebody else's": {},
    "a list of models": {"llm_endpoint": "models"},
    "a reply of the proxy": {"llm_endpoint": "chat"},
    "strange": {"llm_endpoint": ["chat"], "llm_backend": 1},
}


def test_foreign_flows_are_skipped(tmp_path: Path) -> None:
    foreign = [flow_of(metadata=metadata) for metadata in FOREIGN.values()]
    path = written(tmp_path / "run.mitm", *foreign, tflow.twebsocketflow(), flow_of(body=b"mine"))
    assert [each.body for each in files.load(path, VENDORS).recordings] == [b"mine"]
    with pytest.raises(ConfigError, match="it has no response of a model"):
        files.load(written(path, *foreign), VENDORS)
    with pytest.raises(ConfigError, match="it has no response of a model"):
        files.load(written(path), VENDORS)


def test_what_a_recording_tells(tmp_path: Path) -> None:
    told = flow_of(metadata=OURS | {"llm_ttft_s": 0.5, "llm_total_s": 1.5})
    silent = flow_of(metadata=OURS | {"llm_endpoint": "embeddings", "llm_error": "429 Slow"})
    silent.request.content = b'{"input": "a"}'
    assert silent.response
    silent.request.timestamp_end = 10.0
    silent.response.timestamp_start, silent.response.timestamp_end = 12.0, 13.0
    cancelled = flow_of()
    cancelled.response = None
    cancelled.metadata["llm_error"] = "499 gone"
    path = written(tmp_path / "run.mitm", told, silent, cancelled)
    first, second, third = files.load(path, VENDORS).recordings
    headers = [("content-type", "application/json")]
    assert first == Recording(200, headers, b"{}", "openrouter:x", None, 0.5, 1.5)
    assert second == Recording(200, headers, b"{}", "openrouter:x", "429 Slow", 2.0, 3.0)
    assert (third.body, third.unplayable_reason) == (b"", "499 gone")


def test_of_a_file_that_is_cut_off_the_rest_is_played(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "run.mitm", flow_of(body=b"1"), flow_of(body=b"2"))
    path.write_bytes(path.read_bytes()[:-100])
    assert [each.body for each in files.load(path, VENDORS).recordings] == [b"1"]
    assert [each.message for each in caplog.records] == [
        f"{path} is truncated or damaged: playing the requests before that (1)"
    ]
    with pytest.raises(FlowReadException):
        bodies(path)


# Playing


def test_playback_needs_no_choice_of_a_backend_and_no_demo(tmp_path: Path) -> None:
    keys = {"OPENROUTER_API_KEY": "for-openrouter", "GEMINI_API_KEY": "for-gemini"}
    for environ in (keys, {}):
        settings = load({"demo": "auto"}, environ | {"PROXY_PLAYBACK": "run.mitm"}, tmp_path)
        assert not settings.is_demo


KEY = Key("CASSETTE", "cassette")
BODY = b": hi\n\ndata: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
STREAM = Recording(
    200,
    [("content-type", "text/event-stream"), ("x-a", "\udcc3\udca4ö")],
    BODY,
    "gemini:m",
    None,
    1,
    7,
)
WHOLE = Recording(200, [("content-type", "application/json")], b"{}", "openrouter:m", None, 1, 7)


def player(is_timed: bool) -> CassetteServer:
    tape = Cassette("run.mitm", VENDORS)
    tape.add("chat", HELLO | {"stream": True}, STREAM)
    tape.add("chat", HELLO, WHOLE)
    return CassetteServer(tape, KEY, is_timed)


def get(path: str) -> ReceivedRequest:
    return ReceivedRequest(1, "GET", path, (credential_of(KEY),), b"")


def test_answers_at_once() -> None:
    answer = player(is_timed=False).respond(get("/gemini/0"))
    assert (answer.status, answer.framing, answer.steps) == (200, "chunked", (Send(BODY),))
    assert answer.wire_steps
    answer = player(is_timed=False).respond(get("/gemini/1"))
    assert (answer.status, answer.framing, answer.steps) == (200, "length", (Send(b"{}"),))


def test_answers_in_the_time_that_they_took() -> None:
    stream, whole = (player(is_timed=True).respond(get(f"/gemini/{n}")).steps for n in (0, 1))
    assert whole == (Pause(7), Send(b"{}"))
    assert [step.seconds for step in stream if isinstance(step, Pause)] == [1, 2, 2, 2]
    assert b"".join(step.data for step in stream if isinstance(step, Send)) == BODY


def test_header_bytes_pass_as_they_are() -> None:
    head = player(is_timed=False).respond(get("/gemini/0")).wire_steps[0]
    assert isinstance(head, Send)
    assert b"x-a: \xc3\xa4\xc3\xb6\r\n" in head.data


def test_a_backend_s_models() -> None:
    models = player(is_timed=False).respond(get("/gemini/models"))
    assert models.steps == (
        Send(
            b'{"object":"list","data":'
            b'[{"id":"m","object":"model","created":0,"owned_by":"cassette"}]}'
        ),
    )


@pytest.mark.parametrize("path", ["/", "/gemini/none", "/gemini/2", "/gemini/-1", "/x/models"])
def test_what_is_not_there(path: str) -> None:
    assert player(is_timed=False).respond(get(path)).status == 404


def test_nobody_else_is_answered() -> None:
    for headers in ((), (("authorization", "Bearer guess"),)):
        request = ReceivedRequest(1, "GET", "/gemini/0", headers, b"")
        assert player(is_timed=False).respond(request).status == 401
