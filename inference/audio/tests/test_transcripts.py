"""What models answer, read into one form; and that form in OpenAI's five."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflare.errors import GatewayError, InvalidRequestError, UnsupportedParamError
from agentflare.multipart import FormFile
from billing.prices.models import Unit
from inference.audio.tests import sounds
from inference.audio.tests.offers import answer, offer
from inference.audio.transcripts import formats
from inference.audio.transcripts.answers import read_transcript
from inference.audio.transcripts.files import the_sound
from inference.audio.transcripts.languages import NAMES, language_code, language_name
from inference.audio.transcripts.listeners import TRANSLATE, Wish, request_for
from inference.audio.transcripts.params import TranscriptionParams
from inference.audio.transcripts.segments import segments_of
from inference.audio.transcripts.task import TranscriptTask
from inference.audio.transcripts.transcript import Segment, Transcript, Word
from inference.tasks import readable
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, RawRequest

SOUND = the_sound([FormFile("hello.wav", sounds.wav(2), "application/octet-stream")])
WORDS = [
    {"word": "Hello", "start": 0.0, "end": 0.5},
    {"word": "there.", "start": 0.5, "end": 1.1},
    {"word": "Bye.", "start": 1.2, "end": 1.5},
]
WHISPER = {"text": " Hello there. Bye. ", "word_count": 3, "words": WORDS, "vtt": "WEBVTT\n"}
TURBO = {
    "text": "Hello there. Bye.",
    "segments": [
        {
            "start": 0.0,
            "end": 1.1,
            "text": " Hello there.",
            "avg_logprob": -0.25,
            "temperature": 0,
            "words": [{**word, "word": f" {word['word']}"} for word in WORDS[:2]],
        },
        {"start": 1.2, "end": 1.5, "text": " Bye.", "words": WORDS[2:]},
    ],
    "transcription_info": {"language": "en", "language_probability": 0.99, "duration": 1.6},
}
NOVA = {
    "results": {
        "channels": [
            {
                "detected_language": "en",
                "alternatives": [
                    {
                        "transcript": "Hello there. Bye.",
                        "confidence": 0.99,
                        "words": [
                            {
                                **word,
                                "word": str(word["word"]).lower().strip("."),
                                "punctuated_word": word["word"],
                            }
                            for word in WORDS
                        ],
                    }
                ],
            }
        ]
    }
}


def heard(result: Any, measured_s: float | None = 2.0) -> Transcript:
    return read_transcript(result, language="", measured_s=measured_s)


@pytest.mark.parametrize(
    ("result", "language", "duration_s"),
    [(WHISPER, "", 2.0), (TURBO, "en", 1.6), (NOVA, "en", 2.0)],
)
def test_all_models_answers_become_one(result: Any, language: str, duration_s: float) -> None:
    transcript = heard(result)

    assert transcript.text == "Hello there. Bye."
    assert transcript.language == language
    assert transcript.duration_s == duration_s
    assert transcript.words == [
        Word("Hello", 0.0, 0.5),
        Word("there.", 0.5, 1.1),
        Word("Bye.", 1.2, 1.5),
    ]
    assert [(s.text, s.start, s.end) for s in transcript.segments] == [
        ("Hello there.", 0.0, 1.1),
        ("Bye.", 1.2, 1.5),
    ]


def test_silence_has_no_segments_and_a_text_without_words_has_one() -> None:
    assert heard({"text": ""}) == Transcript("", "", 2.0, [], [])
    assert heard({"text": "Hi"}).segments == [Segment("Hi", 0.0, 2.0)]
    assert heard({"text": "Hi", "words": WORDS[:1]}, None).duration_s == 0.5


@pytest.mark.parametrize(
    "result",
    [
        None, [], "text", {}, {"text": 3}, {"results": {}}, {"results": {"channels": []}},
        {"results": {"channels": [{"alternatives": []}]}}, {"results": {"channels": [3]}},
    ],
)  # fmt: skip
def test_anything_else_is_unreadable(result: Any) -> None:
    with pytest.raises(UpstreamCallError) as caught:
        readable(lambda: heard(result))  # type: ignore[arg-type,return-value]

    assert caught.value.may_retry


def test_segments_end_with_sentences_pauses_and_length() -> None:
    def at(second: float, text: str) -> Word:
        return Word(text, second, second + 0.5)

    words = [at(0, "One"), at(0.5, "two"), at(3, "three"), at(3.5, "four"), at(11, "five")]
    assert [s.text for s in segments_of("One two, three four five", words, duration_s=12)] == [
        "One two,", "three four", "five",
    ]  # fmt: skip
    chinese = [at(0, "你好"), at(0.5, "吗？"), at(1, "好")]
    assert [s.text for s in segments_of("你好吗？好", chinese, duration_s=2)] == ["你好吗？", "好"]
    many = [at(number / 10, "abcdefghi") for number in range(60)]
    segments = segments_of(" ".join(["abcdefghi"] * 60), many, duration_s=7)
    assert max(len(segment.text) for segment in segments) <= 84
    assert " ".join(segment.text for segment in segments) == " ".join(["abcdefghi"] * 60)
    # Words that are not in the text.
    assert [s.text for s in segments_of("else", words[:2], duration_s=1)] == ["One two"]


TEXT = st.text(alphabet="ab .!", max_size=30)
TIMES = st.floats(0, 100)


@given(TEXT, st.lists(st.builds(Word, st.text("ab", min_size=1, max_size=4), TIMES, TIMES)))
@settings(max_examples=200, deadline=None)
def test_segments_of_anything(text: str, words: list[Word]) -> None:
    segments_of(text, words, duration_s=3.0)
    transcript = Transcript(text, "", 3.0, segments_of(text, words, duration_s=3.0), words)
    events = formats.as_events(transcript, {}).decode().split("\n\n")
    deltas = [json.loads(event[6:]) for event in events if event]
    assert "".join(event.get("delta", "") for event in deltas) == text


# --- formats ------------------------------------------------------------------------

MONEY = {"request_cost": "0.000000001"}


def test_json() -> None:
    assert formats.as_json(heard(TURBO), MONEY) == {
        "text": "Hello there. Bye.",
        "usage": {"type": "duration", "seconds": 2, **MONEY},
    }


def test_verbose_json_has_all_that_openai_has() -> None:
    whole = formats.as_verbose_json(heard(TURBO), {}, task="transcribe", segments=True, words=True)

    assert whole["task"] == "transcribe"
    assert whole["language"] == "english"
    assert whole["duration"] == 1.6
    assert whole["usage"] == {"type": "duration", "seconds": 2}
    assert whole["words"][1] == {"word": "there.", "start": 0.5, "end": 1.1}
    assert whole["segments"][0] == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.1,
        "text": "Hello there.",
        "tokens": [],
        "temperature": 0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }
    words_only = formats.as_verbose_json(
        heard(TURBO), {}, task="transcribe", segments=False, words=True
    )
    assert "segments" not in words_only


def test_subtitles() -> None:
    transcript = Transcript(
        "", "", 3700, [Segment("A --> b\n\nc", 0.0, 59.9996), Segment("d", 3600, 3661.25)], []
    )

    assert formats.as_srt(transcript) == (
        "1\n00:00:00,000 --> 00:01:00,000\nA -> b\nc\n\n2\n01:00:00,000 --> 01:01:01,250\nd\n\n"
    )
    assert formats.as_vtt(transcript) == (
        "WEBVTT\n\n00:00:00.000 --> 00:01:00.000\nA -> b\nc\n\n01:00:00.000 --> 01:01:01.250\nd\n\n"
    )


def test_events() -> None:
    events = [
        json.loads(line.removeprefix("data: "))
        for line in formats.as_events(heard(TURBO), MONEY).decode().split("\n\n")
        if line
    ]

    assert [event["type"] for event in events] == [
        "transcript.text.delta", "transcript.text.delta", "transcript.text.done",
    ]  # fmt: skip
    assert [event.get("delta") for event in events[:2]] == ["Hello there.", " Bye."]
    assert events[-1]["text"] == "Hello there. Bye."
    # OpenAI's schema has no usage by duration here.
    assert events[-1].keys() == {"type", "text", "seconds", *MONEY}
    assert events[-1]["seconds"] == 2


# --- requests -----------------------------------------------------------------------


def test_each_model_is_asked_in_its_own_form() -> None:
    whisper = request_for(offer("whisper"), SOUND, Wish())
    assert whisper == RawRequest(SOUND.content, "audio/wav")
    nova = request_for(offer("nova-3"), SOUND, Wish(language="de"))
    assert isinstance(nova, RawRequest)
    assert nova.content_type == "audio/wav"
    assert nova.query == {"punctuate": "true", "smart_format": "true", "language": "de"}
    wish = Wish(task=TRANSLATE, language="fr", prompt="Names: Ana", server_vad=True)
    turbo = request_for(offer("whisper-large-v3-turbo"), SOUND, wish)
    assert isinstance(turbo, JsonRequest)
    assert {name: value for name, value in turbo.body.items() if name != "audio"} == {
        "task": "translate",
        "language": "fr",
        "initial_prompt": "Names: Ana",
        "vad_filter": True,
    }


@pytest.mark.parametrize(
    ("model", "wish", "param"),
    [
        ("whisper", Wish(task=TRANSLATE), "model"),
        ("nova-3", Wish(task=TRANSLATE), "model"),
        ("whisper-tiny-en", Wish(language="fr"), "language"),
        ("nova-3", Wish(server_vad=True), "chunking_strategy"),
        ("deepgram-flux", Wish(), "model"),
        ("melotts", Wish(), "model"),
    ],
)
def test_what_a_model_lacks_is_refused(model: str, wish: Wish, param: str) -> None:
    task = TranscriptTask(SOUND, wish, endpoint="audio/transcriptions")
    with pytest.raises(GatewayError) as caught:
        task.prepare(offer(model))

    assert caught.value.param == param
    assert caught.value.status in (400, 404)


@pytest.mark.parametrize("model", ["whisper", "nova-3", "whisper-large-v3-turbo"])
def test_hints_are_taken_by_every_model_whether_it_has_use_for_them_or_not(model: str) -> None:
    task = TranscriptTask(
        SOUND, Wish(language="de", prompt="Names: Ana"), endpoint="audio/transcriptions"
    )
    task.prepare(offer(model))


def test_tiny_hears_english_and_says_so() -> None:
    task = TranscriptTask(SOUND, Wish(), endpoint="audio/transcriptions")
    model = offer("whisper-tiny-en")
    part = task.read(model, request_for(model, SOUND, Wish()), answer({"text": "Hi"}))

    assert part.value.language == "en"


def test_a_task_holds_the_length_and_reads_the_answer() -> None:
    task = TranscriptTask(SOUND, Wish(), endpoint="audio/transcriptions")
    prepared = task.prepare(offer("whisper-large-v3-turbo"))
    part = task.read(prepared.offer, prepared.work[0], answer(TURBO, neurons="1.24"))

    assert prepared.most[Unit.AUDIO_MINUTE] >= part.used.quantities[Unit.AUDIO_MINUTE]
    assert str(part.used.neurons) == "1.24"
    assert part.value.text == "Hello there. Bye."


# --- languages, forms, files --------------------------------------------------------


def test_languages() -> None:
    assert len(NAMES) == 100
    assert language_code(" EN ") == "en"
    assert language_code("nb") == "no"
    assert language_name("de") == "german"
    assert language_name("pt-BR") == "portuguese"
    assert language_name("") == "unknown"
    for wrong in ("english", "en-US", "xx", "e"):
        with pytest.raises(InvalidRequestError) as caught:
            language_code(wrong)
        assert (caught.value.param, caught.value.code) == ("language", "invalid_language_format")


def form(**values: Any) -> TranscriptionParams:
    return TranscriptionParams.model_validate({"model": "whisper", **values})


@pytest.mark.parametrize(
    ("values", "param", "code"),
    [
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "invalid_value"),
        ({"stream": "true", "response_format": "srt"}, "response_format", "invalid_value"),
        ({"include": ["logprobs"]}, "include", "unsupported_parameter"),
        ({"chunking_strategy": "never"}, "chunking_strategy", "invalid_value"),
        (
            {"chunking_strategy": {"type": "server_vad", "threshold": "0.5"}},
            "chunking_strategy.threshold",
            "unsupported_parameter",
        ),
    ],
)
def test_forms_that_make_no_sense_are_refused(
    values: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        form(**values).check()

    assert (caught.value.param, caught.value.code) == (param, code)


def test_forms_as_clients_send_them() -> None:
    form(chunking_strategy="auto").check()
    sent_by_curl = form(chunking_strategy='{"type": "server_vad"}', timestamp_granularities="word",
                        response_format="verbose_json", temperature="0", prompt="")  # fmt: skip
    sent_by_curl.check()
    assert sent_by_curl.server_vad
    assert sent_by_curl.wants_words
    assert not sent_by_curl.wants_segments
    assert sent_by_curl.prompt is None
    assert form(response_format="verbose_json").wants_segments


def test_files_are_known_by_their_bytes() -> None:
    assert the_sound([FormFile("voice", sounds.opus(9), "")]).media_type == "audio/ogg"
    assert the_sound([FormFile("a.txt", sounds.mp3(9), "text/plain")]).media_type == "audio/mpeg"


@pytest.mark.parametrize(
    "files",
    [
        [],
        [FormFile("a.wav", b"", "audio/wav")],
        [FormFile("a.wav", b"not a sound", "audio/wav")],
        [FormFile("a.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "image/png")],
        [FormFile("a.wav", sounds.wav(1), "")] * 2,
    ],
)
def test_other_files_are_refused(files: list[FormFile]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        the_sound(files)

    assert (caught.value.status, caught.value.param) == (400, "file")
    assert not isinstance(caught.value, UnsupportedParamError)
