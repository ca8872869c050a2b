"""Peers are measured by the same clients, and compared the right way round."""

import pytest

from bench.measures import Latency, StreamLoad, Throughput
from bench.peers.__main__ import Found, as_text
from bench.upstream import Form, stream_pieces, whole_answer
from bench.wire import is_whole


@pytest.mark.parametrize("form", Form)
def test_an_answer_is_whole_with_its_last_byte(form: Form) -> None:
    for answer in (whole_answer(form), b"".join(stream_pieces(form, 3))):
        assert is_whole(answer)
        assert not is_whole(answer[:-1])


def test_the_form_follows_the_path() -> None:
    assert Form.of(b"POST /v1/chat/completions") is Form.PLAIN
    assert Form.of(b"POST /client/v4/accounts/a/ai/run/@cf/meta/llama") is Form.NATIVE
    assert Form.of(b"POST /client/v4/accounts/a/ai/run/@cf/openai/gpt") is Form.WRAPPED


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    text = as_text([found("Ours", ms=2.0, calls=1000.0), found("Theirs", ms=9.0, calls=110.0)])

    rows = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines()}
    assert rows["added to a call, p50"] == "| added to a call, p50 | 2.00 ms | 9.00 ms | 4.5 |"
    assert rows["calls a second, one process"].endswith("| 1000 | 110 | 9.1 |")
    assert "Theirs: " in text
    assert "1 calls failed, such as: no answer" in text


def found(name: str, *, ms: float, calls: float) -> Found:
    latency = Latency(1, 0.0, 1.0, 1.0, 1.0 + ms, 1.0 + ms, ms, ms, 10)
    throughput = Throughput(64, 10, calls, calls, 1.0, 1000 / calls, 0.0, 0.0, ms, ms)
    stream = StreamLoad(
        streams=5,
        most_open=5,
        wall_s=1.0,
        chunks_per_s=50.0,
        chunks_per_stream=10,
        completed=5,
        failed=0,
        stalls=0,
        gap_p99_ms=100.0,
        longest_gap_ms=100.0,
        upstream_first_token_p50_ms=1.0,
        first_token_p50_ms=1.0 + ms,
        added_first_token_p50_ms=ms,
        added_first_token_p99_ms=ms,
        busy=0.5,
        web_cpu_us_per_chunk=100.0,
        web_memory_before_mb=100.0,
        web_memory_mb=100.0,
    )
    return Found(
        name, [latency, latency], throughput, [stream], ["no answer"], (90.0, 100.0), [8.0, 9.0]
    )
