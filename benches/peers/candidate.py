"""One search step, by mergekit, transformers and lm-evaluation-harness, and by ours: the table of `candidate.sh`.

usage: candidate.py OUR_PROGRAM STUDY.toml CANDIDATES TURNS

The reference is measured in two ways. As its search does a trial, an engine start each: `mergekit-yaml`, then `lm_eval`. And as good as
can be: one Python process for all candidates; imports, tokenizer, data sets and the choice of the batch size are not counted; mergekit
writes no tokenizer and no model card; `evaluate` is called, without samples and standard errors.
Ours is counted from a recipe to its scores, each turn in a new process that has scored the parents and none of the candidates.
"""
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from importlib.metadata import version
from pathlib import Path
from statistics import median

warnings.filterwarnings("ignore")
os.environ["TQDM_DISABLE"] = "1"

import datasets
import lm_eval
import torch
import transformers
import yaml
from calm import calm
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

BATCH_SIZES = [32, 64, 128, 256, 512, 1024]
MERGE = MergeOptions(cuda=False, copy_tokenizer=False, write_model_card=False, quiet=True)
PARTS = ("merge", "load", "score")


class Harness(HFLM):
    """The harness's model; keeps the log-likelihoods that it gave, by task, document and choice."""

    def loglikelihood(self, requests, disable_tqdm=True):
        answers = super().loglikelihood(requests, disable_tqdm=True)
        self.likelihoods = {}
        for request, (likelihood, _) in zip(requests, answers):
            documents = self.likelihoods.setdefault(request.task_name, {})
            documents.setdefault(request.doc_id, {})[request.idx] = likelihood
        return answers


class Reference:
    """The reference's way."""

    def __init__(self, study, work):
        self.work = work
        self.folder, self.base = validation_tasks(study, work / "tasks"), study["models"]["base"]
        self.names = [task["name"] for task in study["tasks"]]
        self.tasks = TaskManager(include_path=str(self.folder), include_defaults=False).load(self.names)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(study["models"]["base"])
        self.batch = BATCH_SIZES[0]

    def commands(self, recipe):
        """Seconds of the two commands; scores by task."""
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            config, model, out = (Path(folder) / name for name in ("merge.yaml", "model", "results"))
            config.write_text(yaml.safe_dump(recipe))
            programs = Path(sys.executable).parent
            arguments = f"pretrained={model},tokenizer={self.base},dtype=float32"
            started = time.perf_counter()
            for command in (
                ["mergekit-yaml", config, model, "--no-copy-tokenizer"],
                ["lm_eval", "--model", "hf", "--model_args", arguments, "--tasks", ",".join(self.names), "--device", "cpu",
                 "--include_path", self.folder, "--batch_size", str(self.batch), "--output_path", out],
            ):
                subprocess.run([programs / command[0], *command[1:]], check=True, capture_output=True)
            seconds = time.perf_counter() - started
            results = json.loads(next(out.rglob("results*.json")).read_text())["results"]
        return seconds, {name: results[name]["acc,none"] for name in self.names}

    def step(self, recipe):
        """Seconds of merge, load and score; scores by task; log-likelihoods."""
        nothing = {"bootstrap_iters": 0, "log_samples": False}
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            marks = [time.perf_counter()]
            run_merge(MergeConfiguration.model_validate(recipe), folder, MERGE)
            marks.append(time.perf_counter())
            settings = {"tokenizer": self.tokenizer, "dtype": "float32", "device": "cpu", "batch_size": self.batch}
            model = Harness(pretrained=folder, **settings)
            marks.append(time.perf_counter())
            results = lm_eval.evaluate(model, self.tasks, **nothing)
            marks.append(time.perf_counter())
        seconds = dict(zip(PARTS, (after - before for before, after in zip(marks, marks[1:]))))
        scores = {name: results["results"][name]["acc,none"] for name in self.names}
        return seconds, scores, model.likelihoods

    def choose_batch(self, recipe):
        """The fastest of the batch sizes on a candidate, each tried twice. Returns the seconds of all."""
        seconds = {}
        for self.batch in BATCH_SIZES:
            seconds[self.batch] = min(calm(self.step, recipe)[0][0]["score"] for _ in range(2))
        self.batch = min(seconds, key=seconds.get)
        return seconds


def validation_tasks(study, folder):
    """Copies of the study's task files that have no test split, which the harness would score otherwise."""
    folder.mkdir()
    for include in study["include"]:
        for file in sorted(include.glob("*.yaml")):
            task = yaml.safe_load(file.read_text())
            task.pop("test_split", None)
            files = task.get("dataset_kwargs", {}).get("data_files", {})
            files.update({split: str(include / path) for split, path in files.items()})
            (folder / file.name).write_text(yaml.safe_dump(task))
    return folder


class Ours:
    """Our program."""

    def __init__(self, program, study, count):
        self.command = [program, study, str(count)]

    def run(self, *mode):
        """Its lines, and its seconds from start to end."""
        started = time.perf_counter()
        out = subprocess.run([*self.command, *mode], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [json.loads(line) for line in out.splitlines()], time.perf_counter() - started


def largest_difference(theirs, ours):
    """Of log-likelihoods by task, document and choice."""
    worst = 0.0
    for task, documents in ours.items():
        if len(documents) != len(theirs[task]):
            sys.exit(f"{task}: {len(theirs[task])} documents there, {len(documents)} here")
        for document, choices in enumerate(documents):
            if len(choices) != len(theirs[task][document]):
                sys.exit(f"{task}, document {document}: not the same choices")
            differences = (abs(theirs[task][document][i] - likelihood) for i, likelihood in enumerate(choices))
            worst = max(worst, *differences)
    return worst


def read_study(path):
    study = tomllib.loads(path.read_text())
    study["models"]["base"] = str((path.parent / study["models"]["base"]).resolve())
    study["include"] = [(path.parent / include).resolve() for include in study["include"]]
    return study


def whole(step):
    return sum(step[0].values())


def measure(reference, ours, recipes, turns):
    """Both ways of the reference and ours, by turn and candidate; the largest disturbance."""
    commands, steps, mine, disturbed = [], [], [], []
    for _ in range(turns):
        for measured, work in ((commands, reference.commands), (steps, reference.step)):
            found = [calm(work, recipe) for recipe in recipes]
            measured.append([result for result, _ in found])
            disturbed += [share for _, share in found]
        (lines, _), share = calm(ours.run, "warm")
        mine.append(lines)
        disturbed.append(share)
    return commands, steps, mine, max(disturbed)


def row(number, commands, steps, lines, likelihoods):
    """A candidate's row; its two ratios; whether all scores are the same."""
    by_commands, reference = median(seconds for seconds, _ in commands), median(whole(step) for step in steps)
    own, scores = median(line["seconds"] for line in lines), steps[0][1]
    others = [scores for _, scores in commands] + [step[1] for step in steps] + [line["scores"] for line in lines]
    same = all(other.keys() == scores.keys() and all(abs(other[task] - scores[task]) < 1e-9 for task in scores) for other in others)
    accuracies = " ".join(f"{scores[task]:.3f}" for task in scores)
    worst = max(largest_difference(step[2], likelihoods) for step in steps)
    parts = " + ".join(f"{median(step[0][part] for step in steps):.2f}" for part in PARTS)
    text = (
        f"| {number} | {by_commands:.2f} | {reference:.2f} = {parts} | {own:.3f} | {by_commands / own:.1f} | {reference / own:.1f} "
        f"| {accuracies} | {worst:.0e} |"
    )
    return text, by_commands / own, reference / own, same


def main(program, study, count, turns):
    ours = Ours(program, study, count)
    recipes, likelihoods = ours.run("recipes")[0], ours.run("likelihoods")[0]
    with tempfile.TemporaryDirectory() as work:
        reference = Reference(read_study(Path(study)), Path(work))
        batches = reference.choose_batch(recipes[0])
        commands, steps, mine, disturbed = measure(reference, ours, recipes, turns)

    versions = ", ".join(f"{package} {version(package)}" for package in ("mergekit", "transformers", "lm_eval", "torch"))
    tried = ", ".join(f"{size}: {seconds:.2f} s" for size, seconds in batches.items())
    documents = ", ".join(f"{len(documents)} of {task}" for task, documents in likelihoods[0].items())
    print(f"{versions}; float32 on {torch.get_num_threads()} threads; best batch {reference.batch} ({tried})")
    print(f"validation documents: {documents}; medians of {turns} turns; others took at most {disturbed:.2f} processors\n")
    print("| candidate | reference, a trial's two commands, s | reference in one process: merge + load + score, s | ours, s | ratio | ratio to one process "
          "| accuracies, the same in all | largest log-likelihood difference |")
    print("|---|---|---|---|---|---|---|---|")
    columns = zip(zip(*commands), zip(*steps), zip(*mine), likelihoods)
    rows = [row(number, *column) for number, column in enumerate(columns, 1)]
    for text, *_ in rows:
        print(text)
    equal = all(same for *_, same in rows)
    ratios = [median(ratio) for ratio in list(zip(*rows))[1:3]]
    print(f"\nmedian ratio: {ratios[0]:.1f}; to one process: {ratios[1]:.1f}; the scores are {'equal' if equal else 'NOT EQUAL'}")
    return 0 if equal else 1


if __name__ == "__main__":
    # Only the table is of interest.
    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
