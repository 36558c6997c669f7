"""One search step, by mergekit, transformers and lm-evaluation-harness, and by ours: the table of `candidate.sh`.

usage: candidate.py OUR_PROGRAM STUDY.toml CANDIDATES TURNS

The reference has it as good as can be: one Python process for all candidates; imports, tokenizer, data sets and the choice of the
batch size are not counted; mergekit writes no tokenizer and no model card; `evaluate` is called, without samples and standard errors,
and not `simple_evaluate`, which besides looks up the environment each time (that is printed too).
Ours is counted from a recipe to its scores, each turn in a new process that has scored the parents and none of the candidates.
What other programs of the machine disturb is measured again, as torch's threads fare badly beside others.
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

STARTED = time.perf_counter()
warnings.filterwarnings("ignore")
os.environ["TQDM_DISABLE"] = "1"

import datasets
import lm_eval
import torch
import transformers
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

BATCH_SIZES = [32, 64, 128, 256, 512, 1024]
MERGE = MergeOptions(cuda=False, copy_tokenizer=False, write_model_card=False, quiet=True)
PARTS = ("merge", "load", "score")
# Processors that others may keep busy while something is measured; how often it is measured at most.
CALM, TRIES = 0.1, 4


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
        self.manager = TaskManager(include_path=str(validation_tasks(study, work / "tasks")), include_defaults=False)
        self.names = [task["name"] for task in study["tasks"]]
        self.tasks = self.manager.load(self.names)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(study["models"]["base"])
        self.batch = BATCH_SIZES[0]

    def step(self, recipe, simple=False):
        """Seconds of merge, load and score; scores by task; log-likelihoods."""
        nothing = {"bootstrap_iters": 0, "log_samples": False}
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            marks = [time.perf_counter()]
            run_merge(MergeConfiguration.model_validate(recipe), folder, MERGE)
            marks.append(time.perf_counter())
            settings = {"tokenizer": self.tokenizer, "dtype": "float32", "device": "cpu", "batch_size": self.batch}
            model = Harness(pretrained=folder, **settings)
            marks.append(time.perf_counter())
            if simple:
                tasks = list(self.tasks["tasks"].values())
                results = lm_eval.simple_evaluate(model, tasks=tasks, task_manager=self.manager, **nothing)
            else:
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


def busy():
    """Seconds that all processors were busy, and those of them for this process and its finished children."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def others(before, seconds):
    (all_before, own_before), (all_now, own_now) = before, busy()
    return max(0.0, all_now - all_before - (own_now - own_before)) / seconds


def wait_for_calm():
    """Until nobody else computes for a second, but not for ever."""
    for _ in range(20):
        before = busy()
        time.sleep(1)
        if others(before, 1) < CALM:
            return


def calm(measure, *arguments):
    """What `measure` returns, of several tries the first undisturbed or else the least disturbed, and by how many processors."""
    tries = []
    while len(tries) < TRIES and (not tries or tries[-1][1] >= CALM):
        wait_for_calm()
        before, started = busy(), time.perf_counter()
        result = measure(*arguments)
        tries.append((result, others(before, time.perf_counter() - started)))
    return min(tries, key=lambda one: one[1])


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
    """Steps of the reference and lines of ours, by turn and candidate; for information other ways to count; the largest disturbance."""
    theirs, mine, simple, cold, disturbed = [], [], [], [], []
    for _ in range(turns):
        steps = [calm(reference.step, recipe) for recipe in recipes]
        (lines, _), share = calm(ours.run, "warm")
        (full, full_share), (first, first_share) = calm(reference.step, recipes[0], True), calm(ours.run, "cold", "0")
        theirs.append([step for step, _ in steps])
        mine.append(lines)
        simple.append(whole(full))
        cold.append(first[1])
        disturbed += [share, full_share, first_share, *(share for _, share in steps)]
    return theirs, mine, median(simple), median(cold), max(disturbed)


def row(number, steps, lines, likelihoods):
    """A candidate's row; its ratio; whether all scores are the same."""
    merge, load, score = (median(step[0][part] for step in steps) for part in PARTS)
    reference, own = median(whole(step) for step in steps), median(line["seconds"] for line in lines)
    scores = steps[0][1]
    same = all(step[1] == scores for step in steps) and all(
        line["scores"].keys() == scores.keys() and all(abs(line["scores"][task] - scores[task]) < 1e-9 for task in scores)
        for line in lines
    )
    accuracies = [" ".join(f"{scores[task]:.3f}" for task in scores) for scores in (scores, lines[0]["scores"])]
    worst = max(largest_difference(step[2], likelihoods) for step in steps)
    text = (
        f"| {number} | {merge:.2f} | {load:.2f} | {score:.2f} | {reference:.2f} | {own:.3f} | {reference / own:.1f} "
        f"| {accuracies[0]} | {accuracies[1]} | {worst:.0e} |"
    )
    return text, reference / own, same


def main(program, study, count, turns):
    ours = Ours(program, study, count)
    recipes, likelihoods = ours.run("recipes")[0], ours.run("likelihoods")[0]
    with tempfile.TemporaryDirectory() as work:
        started = time.perf_counter()
        reference = Reference(read_study(Path(study)), Path(work))
        prepared = IMPORTED + time.perf_counter() - started
        batches = reference.choose_batch(recipes[0])
        theirs, mine, simple, cold, disturbed = measure(reference, ours, recipes, turns)

    versions = ", ".join(f"{package} {version(package)}" for package in ("mergekit", "transformers", "lm_eval", "torch"))
    tried = ", ".join(f"{size}: {seconds:.2f} s" for size, seconds in batches.items())
    documents = ", ".join(f"{len(documents)} of {task}" for task, documents in likelihoods[0].items())
    print(f"{versions}; float32 on {torch.get_num_threads()} threads; best batch {reference.batch} ({tried})")
    print(f"validation documents: {documents}; medians of {turns} turns; others took at most {disturbed:.2f} processors\n")
    print("| candidate | merge s | load s | score s | reference s | ours s | ratio | accuracies | ours | largest log-likelihood difference |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    columns = zip(zip(*theirs), zip(*mine), likelihoods)
    rows = [row(number, *column) for number, column in enumerate(columns, 1)]
    for text, _, _ in rows:
        print(text)
    equal = all(same for _, _, same in rows)
    first, own = median(whole(steps[0]) for steps in theirs), median(lines[0]["seconds"] for lines in mine)
    print(f"\nmedian ratio: {median(ratio for _, ratio, _ in rows):.1f}; the scores are {'equal' if equal else 'NOT EQUAL'}")
    print(f"for information, candidate 1 by `simple_evaluate`: {simple:.2f} s, ratio {simple / own:.1f}")
    print(
        f"for information, candidate 1 with the process's start and all preparation: reference {prepared + first:.2f} s, "
        f"ours {cold:.2f} s, ratio {(prepared + first) / cold:.1f}"
    )
    return 0 if equal else 1


if __name__ == "__main__":
    # Only the table is of interest.
    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    IMPORTED = time.perf_counter() - STARTED
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
