"""The child process that holds the local model: llama.cpp's HTTP server, and nothing else.

Apart from its parent because a crash in native code must not take the stand-in along.
Prints its URL on one line when it is ready; ends with its parent.
"""

import os
import sys

import xllamacpp  # type: ignore[import-untyped]  # it has no stubs

from sandbox.workers_ai.parent import end_with_parent


def serve(model_file: str, *, context_tokens: int, slots: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model_file
    params.model_alias = {"smollm2-135m"}
    params.port = 0  # any free one, on the loopback address
    params.n_ctx = context_tokens
    params.n_parallel = slots
    params.warmup = False
    # One thread: with more, the barriers between them collapse when a core is busy elsewhere.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    # The parent's end of this pipe closes when it dies: the same as above, on any system.
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    end_with_parent()
    serve(sys.argv[1], context_tokens=int(sys.argv[2]), slots=int(sys.argv[3]))
