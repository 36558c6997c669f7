"""The second peer of `forward`: prompt tokens per second of llama.cpp, as a line of JSON.

    python forward_llama.py LIBRARIES FILE.gguf [--set best|plain|avx2|avx512|amx] [--batch 8] [--length 256] [--turns 7] [--threads 2]

The same prompts are read one after the other, but for the last token of each, whose log-probability comes from the only logits that llama.cpp
computes, those of the last position. LIBRARIES is the folder of the npm package `@node-llama-cpp/linux-x64` with libllama and a library of
kernels per processor, of which llama.cpp takes the best that runs here; `--set` leaves it only those of one instruction set.
"""
import argparse
import ctypes
import json
import time
from pathlib import Path

import numpy as np
from prompts import prompts

# Processors whose kernels use a set; llama.cpp names the libraries after them. On another architecture there is only "best".
PROCESSORS = {
    "plain": ["x64"],
    "avx2": ["haswell"],
    "avx512": ["skylakex", "cascadelake", "cannonlake", "icelake", "cooperlake", "zen4"],
    "amx": ["sapphirerapids"],
}


class Parameters(ctypes.Structure):
    """llama_model_params or llama_context_params, by value: what is behind their first fields is kept as it is. Only their size may
    grow, as a callee reads and writes no more than its own."""

    _fields_ = [("n_ctx", ctypes.c_uint32), ("n_batch", ctypes.c_uint32), ("n_ubatch", ctypes.c_uint32), ("others", ctypes.c_uint8 * 500)]


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = [("n_tokens", ctypes.c_int32), *((name, ctypes.c_void_p) for name in ("token", "embd", "pos", "n_seq_id", "seq_id", "logits"))]


def library(folder, pattern):
    """The one library of this name; `pattern` stands for its version."""
    return next(iter(sorted(Path(folder).glob(pattern))))


def load_kernels(folder, limit):
    """Loads the library of kernels that llama.cpp itself would choose among those allowed; its name."""
    names = [f"libggml-cpu-{name}.so" for name in PROCESSORS[limit]] if limit in PROCESSORS else ["libggml-cpu-*.so"]
    paths = [path for name in names for path in Path(folder).glob(name)]
    scores = {path: ctypes.CDLL(str(path)).ggml_backend_score() for path in paths}
    best = max(scores, key=scores.get, default=None)
    if best is None or scores[best] == 0:
        raise SystemExit(f"llama.cpp has no kernels for {limit} that run here: {sorted(path.name for path in paths)}")
    load = ctypes.CDLL(str(library(folder, "libggml.*so*"))).ggml_backend_load
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    if not load(str(best).encode()):
        raise SystemExit(f"{best} cannot be loaded")
    return best.stem.removeprefix("libggml-cpu-")


def declare(llama):
    """Tells ctypes the functions' types."""
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    functions = {
        "llama_model_default_params": (Parameters, []),
        "llama_context_default_params": (Parameters, []),
        "llama_model_load_from_file": (pointer, [ctypes.c_char_p, Parameters]),
        "llama_init_from_model": (pointer, [pointer, Parameters]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_vocab_n_tokens": (number, [pointer]),
        "llama_n_ubatch": (ctypes.c_uint32, [pointer]),
        "llama_set_n_threads": (None, [pointer, number, number]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, ctypes.c_bool]),
        "llama_batch_get_one": (Batch, [pointer, number]),
        "llama_decode": (number, [pointer, Batch]),
        "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [pointer, number]),
        "llama_print_system_info": (ctypes.c_char_p, []),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(llama, name)
        function.restype, function.argtypes = result, arguments


class Model:
    """A model and the memory of one text."""

    def __init__(self, llama, file, length, threads):
        self.llama = llama
        model = llama.llama_model_load_from_file(str(file).encode(), llama.llama_model_default_params())
        if not model:
            raise SystemExit(f"{file} cannot be loaded")
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = max(length, 512)
        self.context = llama.llama_init_from_model(model, parameters)
        if not self.context or llama.llama_n_ubatch(self.context) != parameters.n_ubatch:
            raise SystemExit("this version's llama_context_params is laid out in another way")
        llama.llama_set_n_threads(self.context, threads, threads)

    def last_logits(self, tokens):
        """The logits behind a prompt."""
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)
        ids = (ctypes.c_int32 * len(tokens))(*tokens)
        if self.llama.llama_decode(self.context, self.llama.llama_batch_get_one(ids, len(tokens))) != 0:
            raise SystemExit("llama_decode failed")
        return np.ctypeslib.as_array(self.llama.llama_get_logits_ith(self.context, -1), (self.vocabulary,))

    def score_last(self, tokens):
        """The log-probability of the last token."""
        logits = self.last_logits(tokens[:-1]).astype(np.float64)
        largest = logits.max()
        return float(logits[tokens[-1]] - largest - np.log(np.exp(logits - largest).sum()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("libraries")
    parser.add_argument("file")
    parser.add_argument("--set", default="best")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    kernels = load_kernels(options.libraries, options.set)
    path = library(options.libraries, "libllama.*so*")
    llama = ctypes.CDLL(str(path))
    declare(llama)
    silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda level, text, data: None)
    llama.llama_log_set(silent, None)
    model = Model(llama, options.file, options.length, options.threads)
    texts = prompts(options.batch, options.length, model.vocabulary)
    scores = [model.score_last(tokens) for tokens in texts]
    seconds = []
    for _ in range(options.turns):
        start = time.perf_counter()
        for tokens in texts:
            model.score_last(tokens)
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[len(seconds) // 2]
    print(json.dumps({
        "tokens_per_second": options.batch * (options.length - 1) / median, "seconds": median, "log_likelihoods": scores,
        "kernels": kernels, "system": llama.llama_print_system_info().decode(), "peer": path.name,
    }))


if __name__ == "__main__":
    main()
