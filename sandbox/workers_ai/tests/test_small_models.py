"""Real embeddings, a real voice, a real ear; and what is said where they are missing."""

import asyncio
import base64
import math
import os
import signal
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from sandbox.workers_ai.audio.sounds import read_sound
from sandbox.workers_ai.errors import LocalModelError
from sandbox.workers_ai.small_models import SmallModels
from sandbox.workers_ai.small_models.ear import Ear
from sandbox.workers_ai.small_models.embedder import Embedder
from sandbox.workers_ai.small_models.voice import Voice
from sandbox.workers_ai.tests.client import Caller, script, wait_until
from sandbox.workers_ai.tests.conftest import running
from sandbox.workers_ai.tests.sounds import wav
from sandbox.workers_ai.tests.test_process import child_of, is_alive
from sandbox.workers_ai.text.vectors import cosine, hashed_vector, widened

BASE = "@cf/baai/bge-base-en-v1.5"
M3 = "@cf/baai/bge-m3"
AURA = "@cf/deepgram/aura-1"
MELO = "@cf/myshell-ai/melotts"
WHISPER = "@cf/openai/whisper"
TURBO = "@cf/openai/whisper-large-v3-turbo"

SAID = "Please pay the invoice before Friday. Thank you for calling."


def listened(caller: Caller, content: bytes) -> requests.Response:
    headers = caller.headers({"Content-Type": "application/octet-stream"})
    url = f"{caller.base}/run/{WHISPER}"
    return requests.post(url, data=content, headers=headers, timeout=60)


# --- Without them ----------------------------------------------------------------------------


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in (Embedder, Voice, Ear):
        monkeypatch.setattr(host, "packages", ("no_such_package",))


@pytest.mark.usefixtures("without")
def test_missing_packages_are_refused_with_the_remedy() -> None:
    models = SmallModels.make(is_wanted=True)
    assert models.missed() == []

    with pytest.raises(LocalModelError) as refusal:
        asyncio.run(models.embedder.embed(["x"]))

    assert (refusal.value.status, refusal.value.code) == (500, 3043)
    assert "no no_such_package" in refusal.value.text
    assert "make models" in refusal.value.text
    assert models.voice.state == "not_installed"
    assert models.missed() == ["embedder"]


def test_scripts_answer_without_them(no_such_file: Path) -> None:
    with running("--model-file", str(no_such_file)) as (caller, _):
        heard = listened(caller, wav(0.1) + script("", text="Given.").encode())
        spoken = caller.run(AURA, {"text": script("x", duration_s=0.5)})
        picture = caller.run("@cf/black-forest-labs/flux-1-schnell", {"prompt": "x"})

    assert heard.json()["result"]["text"] == "Given."
    assert spoken.headers["x-sandbox-source"] == "sandbox-scripted"
    assert picture.status_code == 200


def test_child_that_fails_or_dies_is_told_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of our own in the child's place: no package needed."""
    child = tmp_path / "child.py"
    child.write_text(
        "import os, pickle, struct, sys\n"
        "while head := sys.stdin.buffer.read(4):\n"
        "    texts = pickle.loads(sys.stdin.buffer.read(struct.unpack('>I', head)[0]))['texts']\n"
        "    if texts == ['die']: os._exit(9)\n"
        "    kind = texts[0] if texts[0] in ('error', 'refused') else 'ok'\n"
        "    answer = pickle.dumps((kind, [[1.0]]))\n"
        "    sys.stdout.buffer.write(struct.pack('>I', len(answer)) + answer)\n"
        "    sys.stdout.buffer.flush()\n"
    )

    async def start(self: Embedder) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable, str(child), stdin=pipe, stdout=pipe
        )

    async def use() -> None:
        embedder = Embedder(is_wanted=True)
        assert embedder.state == "idle"
        assert await embedder.embed(["fine"]) == [[1.0]]
        assert embedder.state == "running"
        with pytest.raises(LocalModelError, match="failed"):
            await embedder.embed(["error"])
        with pytest.raises(LocalModelError, match="has died"):
            await embedder.embed(["die"])
        assert await embedder.embed(["fine again"]) == [[1.0]]
        await embedder.stop()
        assert embedder.state == "idle"

    monkeypatch.setattr(Embedder, "packages", ())
    monkeypatch.setattr(Embedder, "_start", start)
    asyncio.run(use())


# --- Vectors of another width ----------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [384, 768, 1024, 2048])
def test_widened_vector_is_a_unit_vector_at_about_the_same_angle(dimensions: int) -> None:
    texts = ["a red fox", "a red dog", "tax law"]
    narrow = [hashed_vector(text, 384) for text in texts]
    wide = [widened(vector, dimensions) for vector in narrow]

    assert {len(vector) for vector in wide} == {dimensions}
    for i in range(3):
        assert math.isclose(cosine(wide[i], wide[i]), 1, abs_tol=1e-4)
        assert cosine(wide[0], wide[i]) == pytest.approx(cosine(narrow[0], narrow[i]), abs=0.15)


# --- With them -------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_embeddings_know_what_is_near(small_models: Caller) -> None:
    texts = ["How warm is it outside?", "The weather is hot today.", "Corporate tax law"]

    result = small_models.result(BASE, {"text": texts})

    question, near, far = ([float(value) for value in vector] for vector in result["data"])
    assert len(question) == 768
    assert result["system_fingerprint"] == "sandbox-multilingual-e5-small"
    assert cosine(question, near) > cosine(question, far) + 0.02


@pytest.mark.slow
def test_real_embeddings_score_contexts(small_models: Caller) -> None:
    contexts = [{"text": "Corporate tax law"}, {"text": "The weather is hot today."}]

    result = small_models.result(M3, {"query": "How warm is it?", "contexts": contexts})

    assert result["response"][0]["id"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        ("mp3", "mp3"),
        ("linear16", "wav"),
        ("mulaw", "wav"),
        ("alaw", "wav"),
        ("opus", "ogg"),
        ("flac", "flac"),
        ("aac", "aac"),
    ],
)
def test_what_the_voice_says_the_ear_hears(small_models: Caller, encoding: str, form: str) -> None:
    spoken = small_models.run(AURA, {"text": SAID, "encoding": encoding})
    heard = listened(small_models, spoken.content)

    sound = read_sound(spoken.content)
    assert sound is not None
    assert sound.form == form
    assert spoken.headers["x-sandbox-source"] == "sandbox-hibari-heart"
    assert heard.headers["x-sandbox-source"] == "sandbox-whisper-tiny-en"
    assert heard.json()["result"]["text"] == SAID
    spoken_s, heard_s = (Decimal(call["audio_s"]) for call in small_models.calls()[-2:])
    assert heard_s == pytest.approx(spoken_s, abs=Decimal("0.15"))


@pytest.mark.slow
def test_melotts_speaks_and_turbo_hears(small_models: Caller) -> None:
    audio = small_models.result(MELO, {"prompt": SAID})["audio"]

    result = small_models.result(TURBO, {"audio": audio})

    assert base64.b64decode(audio).startswith(b"ID3")
    assert [part["text"] for part in result["segments"]] == [
        "Please pay the invoice before Friday.",
        "Thank you for calling.",
    ]


@pytest.mark.slow
def test_broken_sound_is_refused_and_silence_says_nothing(small_models: Caller) -> None:
    broken = listened(small_models, b"ID3" + bytes(200))
    silence = listened(small_models, wav(1))

    assert small_models.error(broken)[:2] == (400, 8001)
    assert silence.json()["result"]["text"] == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.usefixtures("small_models")
def test_child_ends_with_a_killed_parent_and_is_started_again_when_it_dies(
    no_such_file: Path,
) -> None:
    with running("--model-file", str(no_such_file)) as (caller, process):
        assert caller.run(BASE, {"text": "x"}).status_code == 200
        first = child_of(process.pid, b"small_models.child")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not is_alive(first), 5)

        caller.run(BASE, {"text": "x"})
        assert caller.run(BASE, {"text": "x"}).status_code == 200
        second = child_of(process.pid, b"small_models.child")
        assert second is not None
        process.kill()

        wait_until(lambda: not is_alive(second), 15)


@pytest.mark.slow
def test_event_loop_goes_on_while_a_model_works(small_models: Caller) -> None:
    listened(small_models, wav(0.1))
    started = time.monotonic()
    pending = asyncio.run(at_once(small_models))

    assert pending < 0.5
    assert time.monotonic() - started > pending


async def at_once(caller: Caller) -> float:
    """How long /health takes while a long text is being spoken."""
    long_text = {"text": "One more sentence. " * 40}
    speaking = asyncio.create_task(asyncio.to_thread(caller.run, AURA, long_text))
    await asyncio.sleep(0.2)
    started = time.monotonic()
    await asyncio.to_thread(requests.get, f"{caller.url}/health", timeout=5)
    took_s = time.monotonic() - started
    await speaking
    return took_s
