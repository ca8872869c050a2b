"""The child process of one small model: reads a question, writes an answer, until its parent ends.

    python -m sandbox.workers_ai.small_models.child NAME

Apart from its parent because native code may crash, and must not keep the event loop waiting.
"""

import os
import pickle
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from sandbox.workers_ai.parent import end_with_parent
from sandbox.workers_ai.small_models.refusal import RefusedError

MODULES = {
    "embedder": "sandbox.workers_ai.small_models.embedder",
    "voice": "sandbox.workers_ai.small_models.voice",
    "ear": "sandbox.workers_ai.small_models.ear",
}


def serve(name: str) -> None:
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    answer: Callable[..., Any] | None = None
    while head := questions.read(4):
        arguments = pickle.loads(questions.read(struct.unpack(">I", head)[0]))
        try:
            answer = answer or import_module(MODULES[name]).load()
            result = ("ok", answer(**arguments))
        except RefusedError as error:
            result = ("refused", str(error))
        except Exception as error:
            result = ("error", f"{type(error).__name__}: {error}")
        message = pickle.dumps(result)
        answers.write(struct.pack(">I", len(message)) + message)
        answers.flush()


if __name__ == "__main__":
    end_with_parent()
    serve(sys.argv[1])
