"""Traces as a collector gets them, over OTLP."""

import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentflare import tracing
from billing.admission.tests.builders import event
from billing.usage.events import UsageEvent
from inference.tests.settled import say, wait_for
from sandbox.testing import RunningSandbox, start_sandbox

pytestmark = pytest.mark.slow
MODEL = "qwen-3-30b"
PROMPT = "the secret of the house"


class Collector:
    """Of spans: trace id → name → attributes, with the span's own id and its parent's."""

    def __init__(self) -> None:
        self.spans: dict[str, dict[str, dict[str, Any]]] = {}
        self.raw = b""
        self.answers = 200
        self.asked = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked += 1
                if collector.answers == 200 and self.path == "/v1/traces":
                    collector.take(body)
                self.send_response(collector.answers)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for each in scope.spans:
                    told = {
                        one.key: one.value.string_value or one.value.int_value
                        for one in each.attributes
                    }
                    told |= {"id": each.span_id.hex(), "parent": each.parent_span_id.hex()}
                    told["ms"] = (each.end_time_unix_nano - each.start_time_unix_nano) / 1e6
                    told["is_error"] = each.status.code == 2
                    self.spans.setdefault(each.trace_id.hex(), {})[each.name] = told

    def trace(self, trace_id: str, *names: str) -> dict[str, dict[str, Any]]:
        """Once it has spans of these names."""
        wait_for(lambda: self.spans.get(trace_id, {}).keys() >= set(names), timeout_s=20)
        return self.spans[trace_id]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def traced(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSandbox]:
    sandbox = start_sandbox(
        tmp_path_factory.mktemp("traced") / "sandbox",
        variables={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_SERVICE_NAME": "agentflare-test",
        },
    )
    try:
        sandbox.wait_until_ready()
        yield sandbox
    finally:
        sandbox.stop()


def call(sandbox: RunningSandbox, text: str, **fields: Any) -> tuple[requests.Response, str]:
    """The answer, and the id of its trace."""
    trace_id = secrets.token_hex(16)
    answer = requests.post(
        f"{sandbox.env['OPENAI_BASE_URL']}/chat/completions",
        headers={
            "Authorization": f"Bearer {sandbox.env['OPENAI_API_KEY']}",
            "traceparent": f"00-{trace_id}-{'ab' * 8}-01",
        },
        json={"model": MODEL, "messages": [{"role": "user", "content": text}], **fields},
        timeout=20,
    )
    return answer, trace_id


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_is_one_trace_from_its_client_to_the_ledger(
    traced: RunningSandbox, collector: Collector, is_stream: bool
) -> None:
    text = say(tokens=12, chunk_ms=10) + PROMPT
    answer, trace_id = call(traced, text, max_tokens=50, stream=is_stream)
    assert answer.status_code == 200

    spans = collector.trace(trace_id, "POST /v1", f"chat {MODEL}", "settle")
    server, attempt, settled = (spans[name] for name in ("POST /v1", f"chat {MODEL}", "settle"))

    assert server["parent"] == "ab" * 8
    assert attempt["parent"] == settled["parent"] == server["id"]
    assert attempt["gen_ai.operation.name"] == "chat"
    assert attempt["gen_ai.request.model"] == "@cf/qwen/qwen3-30b-a3b-fp8"
    assert attempt["agentflare.upstream"] == "environment"
    assert server["gen_ai.usage.output_tokens"] == 12
    assert server["agentflare.outcome"] == "completed"
    assert server["agentflare.cost_nusd"] > 0
    assert server["http.response.status_code"] == 200
    assert server["agentflare.request_id"] == answer.headers["x-request-id"]
    # A stream's span lasts until its last piece, not until its first.
    assert server["ms"] >= (100 if is_stream else 1)
    assert not server["is_error"]


def test_what_fails_is_told_as_failed(traced: RunningSandbox, collector: Collector) -> None:
    answer, trace_id = call(traced, say(tokens=5, error=True), max_tokens=50)
    assert answer.status_code >= 500
    spans = collector.trace(trace_id, "POST /v1", f"chat {MODEL}")
    assert spans["POST /v1"]["is_error"]
    assert spans[f"chat {MODEL}"]["is_error"]
    assert spans[f"chat {MODEL}"]["error.type"] == "UpstreamCallError"


def test_nothing_that_was_said_and_no_secret_is_in_any_span(
    traced: RunningSandbox, collector: Collector
) -> None:
    _, trace_id = call(traced, say(tokens=3) + PROMPT, max_tokens=50)
    collector.trace(trace_id, "POST /v1", "settle")
    assert PROMPT.encode() not in collector.raw
    assert traced.env["OPENAI_API_KEY"].encode() not in collector.raw
    assert b"agentflare-test" in collector.raw
    assert b"/health/" not in collector.raw


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_without_a_trace_of_the_callers_it_begins_one(
    traced: RunningSandbox, collector: Collector, parent: str
) -> None:
    key = traced.env["OPENAI_API_KEY"]
    headers = {"Authorization": f"Bearer {key}", **({"traceparent": parent} if parent else {})}
    url = f"{traced.env['OPENAI_BASE_URL']}/models"
    answer = requests.get(url, headers=headers, timeout=10)
    request_id = answer.headers["x-request-id"]

    def own() -> Any:
        every = [spans.get("GET /v1", {}) for spans in list(collector.spans.values())]
        return [each for each in every if each.get("agentflare.request_id") == request_id]

    assert wait_for(own)[0]["parent"] == ""


def test_a_collector_that_fails_disturbs_nobody(
    traced: RunningSandbox, collector: Collector
) -> None:
    collector.answers = 500
    asked = collector.asked
    try:
        for _ in range(3):
            answer, _ = call(traced, say(tokens=3), max_tokens=50)
            assert answer.status_code == 200
        wait_for(lambda: collector.asked > asked)
    finally:
        collector.answers = 200


def test_without_a_collector_there_are_none() -> None:
    assert not tracing.is_on()
    with tracing.span("x", kind="client") as span:
        assert span is None
    assert tracing.traceparent() == ""
    assert tracing.headers() == {}
    tracing.note(x=1)
    tracing.done("x", parent=f"00-{'1' * 32}-{'2' * 16}-01", began_ns=1)
    tracing.end(tracing.begin("x"), status=200)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_opentelemetrys_own_variables_switch_it_on(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracing.is_on() is expected


def test_an_event_that_is_not_traced_is_as_the_release_before_wrote_it(acme: Any) -> None:
    plain = event(acme, 5)
    assert "trace" not in plain.dumps()
    assert UsageEvent.loads(plain.dumps()) == plain
    traced = plain.with_(trace=f"00-{'1' * 32}-{'2' * 16}-01")
    assert UsageEvent.loads(traced.dumps()) == traced
