"""Makes corpus/loader: an input for each task file of the harness's that comes with the crate, and for each golden task and group.

    python3 make_seeds.py
"""

import re
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
CRATE = HERE.parent
GOLDEN = CRATE / "tests/golden"
LINES = 3


def beginning(file):
    return "".join(file.read_text().splitlines(keepends=True)[:LINES])


def local(text):
    """The task with its documents in data.jsonl, and what it includes in _template_yaml."""
    text = re.sub(r"^include: .*$", "include: _template_yaml", text, flags=re.M)
    text = re.sub(r"^dataset_(path|name): .*\n", "", text, flags=re.M)
    splits = set(re.findall(r"^(?:training|validation|test|fewshot)_split: (\w+)", text, flags=re.M)) - {"null"}
    files = ", ".join(f"{split}: data.jsonl" for split in sorted(splits))
    return f"{text}\ndataset_path: json\ndataset_kwargs: {{data_files: {{{files}}}}}\n"


def native(text, folder):
    """Functions by the names that need no folder."""
    other = {"cb_multi_fi": "macro_f1", "default_doc_to_text": "doc_to_text", "wikitext_detokenizer": "doc_to_target", "process_doc": "process_docs"}
    return re.sub(r'!function "?\w+\.(\w+)"?', lambda found: f"!native {folder}.{other.get(found[1], found[1])}", text)


def data_of(text):
    """The synthetic documents of a task's data set."""
    found = {key: value.strip() for key, value in re.findall(r"^dataset_(path|name): (.*)$", text, flags=re.M)}
    name = found.get("name", "default").replace("null", "default")
    files = sorted((GOLDEN / "builtins/data" / found.get("path", "none") / name).glob("*.jsonl"))
    return beginning(files[-1]) if files else ""


def bundled():
    for file in sorted((CRATE / "tasks").glob("*/*.yaml")):
        text = native(file.read_text(), file.parent.name)
        included = re.search(r"^include: (.*)$", text, flags=re.M)
        template = (file.parent / included[1].strip()).read_text() if included else ""
        parts = {"main.yaml": text if "group:" in text else local(text), "_template_yaml": template, "data.jsonl": data_of(text + template)}
        yield f"{file.parent.name}-{file.stem}", parts


def golden():
    for file in sorted([*(GOLDEN / "tasks").glob("*.yaml"), *(GOLDEN / "chat_tasks").glob("*.yaml")]):
        text = file.read_text().replace("_mc_common_yaml", "_template_yaml")
        used = re.search(r"data/\w+\.jsonl", text)
        text = re.sub(r"data/\w+\.jsonl", "data.jsonl", text)
        template = re.sub(r"data/\w+\.jsonl", "data.jsonl", (GOLDEN / "tasks/_mc_common_yaml").read_text())
        data = beginning(GOLDEN / (used[0] if used else "data/mc_test.jsonl"))
        yield file.stem, {"main.yaml": text, "_template_yaml": template, "data.jsonl": data}


def main():
    corpus = HERE / "corpus/loader"
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    for name, parts in [*bundled(), *golden()]:
        (corpus / name).write_text("".join(f"=== {file}\n{text.rstrip()}\n" for file, text in parts.items() if text))


if __name__ == "__main__":
    main()
