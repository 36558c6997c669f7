"""Makes data/ here, ../expected/builtins and its siblings, tasks.json, and the crate's tasks/*/samples.jsonl, with
lm-evaluation-harness 0.4.13:

    python make.py squad_metrics.py     # in a virtual environment with lm_eval[hf]==0.4.13

`squad_metrics.py` is transformers/data/metrics/squad_metrics.py of transformers 4.57.1: the harness's task `record` imports it, and
transformers 5 no longer has it.

The task files are the harness's own; only where their data are is changed. The model answers by a hash of what it is asked.
"""

import ast
import collections
import hashlib
import json
import os
import re
import shutil
import string
import sys
import types
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

import lm_eval
import yaml
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))
from documents import data_sets

HERE = Path(__file__).resolve().parent
OURS = HERE.parents[2] / "tasks"
HARNESS = Path(lm_eval.__file__).resolve().parent / "tasks"
# Our folder -> the harness's; any other has the same name.
FOLDERS = {"mmlu": "mmlu/default", **{name: f"super_glue/{name}" for name in ["boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"]}}
WITH_DATA = """hellaswag arc_easy arc_challenge winogrande boolq copa sglue_rte wic wsc wsc273 piqa race openbookqa commonsense_qa
lambada_openai lambada_standard gsm8k gsm8k_cot wikitext truthfulqa_mc1 truthfulqa_mc2 mmlu_anatomy mmlu_us_foreign_policy
cmmlu_agronomy cmnli c3 chid cb multirc record mathqa logiqa sciq triviaqa nq_open social_iqa swag anli_r1 anli_r2 anli_r3
ceval-valid_law""".split()


class Hashing(LM):
    """Gives every request an answer that depends on nothing but its texts."""

    def number(self, *texts):
        return int(hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:12], 16) / 16**12

    def loglikelihood(self, requests, **_):
        return [(-1 - 20 * self.number(*request.args), self.number("greedy", *request.args) < 0.4) for request in requests]

    def loglikelihood_rolling(self, requests, **_):
        return [-100 * self.number(*request.args) for request in requests]

    def generate_until(self, requests, **_):
        return [self.generated(*request.args) for request in requests]

    def generated(self, context, kwargs):
        number = round(9 * self.number(context))
        text = f" So it is {number}. #### {number},000"
        for stop in kwargs["until"]:
            text = text.split(stop)[0]
        return text


# Folders of other projects' tasks.
OTHERS = ("opencompass", "auto_merge_llm")


def task_files():
    """Every file that the crate ships or generates, as the harness has it: our folder and the file."""
    for folder in sorted(path for path in OURS.iterdir() if path.is_dir() and path.name not in OTHERS):
        theirs = HARNESS / FOLDERS.get(folder.name, folder.name)
        if not theirs.is_dir():
            yield from ((folder.name, file) for file in sorted(folder.glob("*.yaml")))
            continue
        generated = sorted(theirs.glob("*.yaml")) if folder.name in ("mmlu", "cmmlu", "ceval") else []
        yield from ((folder.name, theirs / file.name) for file in sorted(folder.glob("*.yaml")))
        yield from ((folder.name, file) for file in generated if not (folder / file.name).exists())


def dumped(entries):
    """JSON with one entry of the second level a line."""
    parts = []
    for name, entry in entries.items():
        lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
        parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def write_data():
    shutil.rmtree(HERE / "data", ignore_errors=True)
    for name, splits in data_sets().items():
        folder = HERE / "data" / name
        folder.mkdir(parents=True)
        for split, rows in splits.items():
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def write_tasks_json():
    """The keys of every shipped task file after its includes."""
    keys = {}
    for folder, file in task_files():
        config = load_yaml(file, resolve_func=False)
        text = json.dumps(config, ensure_ascii=False).replace(f"{file.parent}/", f"<task-eval>/{folder}/")
        keys[config.get("group", config.get("task"))] = json.loads(text)
    lines = [f"{json.dumps(name)}: {json.dumps(keys[name], ensure_ascii=False)}" for name in sorted(keys)]
    (HERE / "tasks.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def local_task(folder, file, target):
    """A task file that includes the harness's and takes its documents from here."""
    config = load_yaml(file, resolve_func=False)
    name = config.get("dataset_name") or "default"
    data = HERE / "data" / config["dataset_path"] / name
    if not data.is_dir():
        return
    files = {path.stem: str(path) for path in sorted(data.glob("*.jsonl"))}
    own = {"include": str(file), "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    # The harness looks for functions beside the file that is included.
    (target / f"{config['task']}.yaml").write_text(yaml.dump(own, allow_unicode=True))


def function_source(path, name):
    """One function of a Python file whose imports are not all installed."""
    text = path.read_text()
    found = next(node for node in ast.parse(text).body if getattr(node, "name", None) == name)
    return ast.get_source_segment(text, found)


def provide_squad_metrics(path):
    """The functions of `squad_metrics.py` that the harness calls, where it looks for them."""
    names = {"collections": collections, "re": re, "string": string}
    for name in ["normalize_answer", "get_tokens", "compute_exact", "compute_f1"]:
        exec(function_source(path, name), names)
    import transformers.data

    module = types.SimpleNamespace(compute_exact=names["compute_exact"], compute_f1=names["compute_f1"])
    transformers.data.metrics = types.SimpleNamespace(squad_metrics=module)
    sys.modules.update({f"transformers.data.metrics{end}": module for end in ["", ".squad_metrics"]})


def write_samples():
    """The documents of `list_fewshot_samples`, for the crate."""
    for folder in ["minerva_math", "mbpp"]:
        names = {}
        exec(function_source(HARNESS / folder / "utils.py", "list_fewshot_samples"), names)
        lines = [json.dumps(row, ensure_ascii=False) for row in names["list_fewshot_samples"]()]
        (OURS / folder / "samples.jsonl").write_text("\n".join(lines) + "\n")


def fewshot_tasks(local):
    """The tasks of fewshot/, with the harness's functions beside them while it reads them."""
    for file in sorted((HERE / "fewshot").glob("*/*.yaml")):
        folder, beside = file.parent.name, file.with_name("utils.py")
        theirs = HARNESS / folder / "utils.py"
        is_listed = folder != "hellaswag"
        beside.write_text(function_source(theirs, "list_fewshot_samples") if is_listed else theirs.read_text())
        local_task(folder, file, local)
        yield file.stem


def run(name, tasks, shots, manager):
    out = HERE.parent / "expected" / name
    shutil.rmtree(out, ignore_errors=True)
    results = lm_eval.simple_evaluate(
        model=Hashing(), tasks=tasks, num_fewshot=shots, task_manager=manager, log_samples=True, bootstrap_iters=1000
    )
    samples = results.pop("samples")
    tracker = EvaluationTracker(output_path=str(out / "raw"))
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    for file in (out / "raw").rglob("*.json*"):
        stem = file.name.rsplit("_2", 1)[0]
        if stem == "results":
            kept = ["results", "groups", "versions", "n-shot", "n-samples", "task_hashes", "group_subtasks", "higher_is_better"]
            whole = json.loads(file.read_text())
            (out / "results.json").write_text(dumped({key: whole[key] for key in kept if key in whole}))
        else:
            file.rename(out / f"{stem}.jsonl")
    shutil.rmtree(out / "raw")


def main():
    provide_squad_metrics(Path(sys.argv[1]))
    write_data()
    write_tasks_json()
    write_samples()
    local = HERE / "local"
    shutil.rmtree(local, ignore_errors=True)
    local.mkdir()
    for folder, file in task_files():
        if "group" not in load_yaml(file, resolve_func=False):
            local_task(folder, file, local)
    fewshot = list(fewshot_tasks(local))
    manager = TaskManager(include_path=str(local), include_defaults=False)
    run("builtins", WITH_DATA, None, manager)
    run("builtins_shots", [task for task in WITH_DATA if task not in ("wikitext", "race")], 2, manager)
    run("builtins_fewshot", fewshot, None, manager)
    shutil.rmtree(local)
    for source in (HERE / "fewshot").glob("*/utils.py"):
        source.unlink()


if __name__ == "__main__":
    main()
