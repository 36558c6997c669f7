"""The same tasks by lm-evaluation-harness and by `tailor eval`, in turn: the table of `eval.sh`.

usage: eval.py TAILOR MODEL TURNS [TASK ...]

The harness is timed in two ways, each with its fastest batch size: its command from start to end; and its `evaluate` in a process that has
imported, loaded and chosen everything before, without samples and standard errors. Ours is always the command from start to end, with samples.
Of scores, all have to be equal in all runs; of samples, all log-likelihoods within 1e-3 and all generated texts to the letter.
What other programs of the machine disturb is measured again. With CLOCK=processor, seconds are those of processors in this process and its
children: of one thread, they mean something on a busy machine too.
"""
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median

warnings.filterwarnings("ignore")
os.environ["TQDM_DISABLE"] = "1"

import datasets
import lm_eval
import torch
import transformers
from calm import calm
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

QUESTIONS = Path(__file__).resolve().parents[2] / "examples/family/tasks/data"
SKILLS = ("arithmetic", "lists", "counting", "brackets")
DOCUMENTS = int(os.environ.get("DOCUMENTS", 200))
# The family says 128 positions; six sheets and an answer are up to 400.
WINDOW = 512
# "auto" takes 64 after seconds of probing, and is never faster than 64. The harness's logits cache is on, as it is by default.
BATCH_SIZES = [4, 8, 16, 32, 64, 256]
TOLERANCE = 1e-3

SHEETS = {"data": "sheets", "num_fewshot": 5, "fewshot_delimiter": " . "}
FIRST = {"fewshot_config": {"sampler": "first_n"}}
CHOOSE = {
    "output_type": "multiple_choice", "doc_to_target": "answer", "doc_to_choice": "choices",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}
FIRST_ANSWER = {"name": "first", "filter": [{"function": "regex", "regex_pattern": r"^\s*(.*?)\s*(?:\.|$)"}, {"function": "take_first"}]}
GENERATE = {
    "output_type": "generate_until", "doc_to_target": "{{choices[answer]}}",
    "metric_list": [{"metric": "exact_match"}], "filter_list": [FIRST_ANSWER],
}
SHORT = {"generation_kwargs": {"until": ["."], "max_gen_toks": 64}}
LONG = {"generation_kwargs": {"until": ["</s>"], "max_gen_toks": 64}}
TASKS = {
    # Examples drawn for each document, which is the harness's default; then the same for all, as MMLU has it.
    "choose_drawn": {**SHEETS, **CHOOSE},
    "choose_first": {**SHEETS, **CHOOSE, **FIRST},
    # Questions by themselves; then with examples drawn (as gsm8k) and the same for all (as gsm8k_cot). The model never ends by itself.
    "generate_plain": {"data": "questions", **GENERATE, **LONG},
    "generate_drawn": {**SHEETS, **GENERATE, **LONG},
    "generate_first": {**SHEETS, **GENERATE, **LONG, **FIRST},
    # Only the answer, up to its full stop.
    "answer_drawn": {**SHEETS, **GENERATE, **SHORT},
    "answer_first": {**SHEETS, **GENERATE, **SHORT, **FIRST},
}


def documents(kind, split, count):
    """The family's questions, the skills by turns. A sheet is four, one of each skill, with answers to all but the last."""
    questions = [(QUESTIONS / f"{skill}_{split}.jsonl").read_text().splitlines() for skill in SKILLS]
    for number in range(count):
        asked = [json.loads(of_skill[number]) for of_skill in questions]
        *solved, last = asked[number % 4:] + asked[:number % 4]
        given = [f"{one['question']} {one['choices'][one['answer']]} ." for one in solved if kind == "sheets"]
        yield {**last, "question": " ".join([*given, last["question"]])}


def write_tasks(folder):
    folder.mkdir()
    for name, task in TASKS.items():
        kind, files = task["data"], {}
        for split, count in (("train", 100), ("test", DOCUMENTS)):
            file = folder / f"{kind}_{split}.jsonl"
            file.write_text("".join(f"{json.dumps(document)}\n" for document in documents(kind, split, count)))
            files[split] = str(file)
        source = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}, "training_split": "train", "test_split": "test"}
        rest = {key: value for key, value in task.items() if key != "data"}
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({"task": name, **source, "doc_to_text": "question", **rest}))


def write_model(model, folder):
    """The model, with room for `WINDOW` positions."""
    folder.mkdir()
    changed = {"config.json": "max_position_embeddings", "tokenizer_config.json": "model_max_length"}
    for file in model.iterdir():
        if file.name in changed:
            content = {**json.loads(file.read_text()), changed[file.name]: WINDOW}
            (folder / file.name).write_text(json.dumps(content))
        else:
            (folder / file.name).symlink_to(file.resolve())


class Quiet(HFLM):
    """Without the harness's progress bars."""

    def loglikelihood(self, requests, disable_tqdm=True):
        return super().loglikelihood(requests, disable_tqdm=True)

    def generate_until(self, requests, disable_tqdm=True):
        return super().generate_until(requests, disable_tqdm=True)


class Harness:
    """lm-evaluation-harness."""

    def __init__(self, model, tasks):
        self.folders = model, tasks
        self.model = Quiet(pretrained=str(model), dtype="float32", device="cpu")
        manager = TaskManager(include_path=str(tasks), include_defaults=False)
        self.tasks = {name: manager.load([name]) for name in TASKS}

    def evaluate(self, task, batch):
        """Seconds and scores, all being loaded."""
        self.model.batch_size_per_gpu = batch
        # Of the command; a task goes on drawing otherwise.
        self.tasks[task]["tasks"][task].set_fewshot_seed(1234)
        started = now()
        results = lm_eval.evaluate(self.model, self.tasks[task], bootstrap_iters=0, log_samples=False)
        return now() - started, scores(results, task)

    def command(self, task, batch):
        """Seconds, scores and samples of its command."""
        model, tasks = self.folders
        with tempfile.TemporaryDirectory() as out:
            seconds = run(
                Path(sys.executable).with_name("lm_eval"), "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu",
                "--tasks", task, "--include_path", tasks, "--batch_size", batch, "--output_path", out, "--log_samples",
            )
            results, samples = (next(Path(out).rglob(f"{name}_*")) for name in ("results", "samples"))
            return seconds, scores(json.loads(results.read_text()), task), read_samples(samples)

    def fastest(self, task):
        """The fastest batch size, and the seconds of all."""
        seconds = {batch: measure(f"{task}, batch {batch}", self.evaluate, task, batch)[0][0] for batch in BATCH_SIZES}
        return min(seconds, key=seconds.get), seconds


class Ours:
    """`tailor eval`."""

    def __init__(self, tailor, model, tasks):
        self.start = tailor, "eval", model, "--include", tasks, "--quiet"

    def command(self, task):
        """Seconds, scores and samples."""
        with tempfile.TemporaryDirectory() as out:
            results, samples = Path(out) / "results.json", Path(out) / "samples.jsonl"
            seconds = run(*self.start, "--tasks", task, "--output", results, "--log-samples", samples)
            return seconds, scores(json.loads(results.read_text()), task), read_samples(samples)


def now():
    """Seconds, of processors or of the clock on the wall."""
    return sum(os.times()[:4]) if os.environ.get("CLOCK") == "processor" else time.perf_counter()


def run(*command):
    """Seconds."""
    started = now()
    done = subprocess.run([str(argument) for argument in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-3000:]}")
    return now() - started


def scores(results, task):
    return {metric: value for metric, value in results["results"][task].items() if "," in metric and "_stderr" not in metric}


def read_samples(file):
    return sorted(map(json.loads, file.read_text().splitlines()), key=lambda sample: sample["doc_id"])


def measure(what, function, *arguments):
    """What `function` returns on a machine as calm as can be had, and how many processors others took."""
    result, disturbed = calm(function, *arguments)
    print(f"{what}: {result[0]:.2f} s, others took {disturbed:.2f} processors", file=sys.stderr)
    return result, disturbed


def compare(theirs, ours):
    """The largest difference of log-likelihoods, and the documents whose prompt, generated text or greedy flag is another."""
    if len(theirs) != len(ours):
        sys.exit(f"{len(theirs)} documents there, {len(ours)} here")
    worst, other = 0.0, []
    for their, our in zip(theirs, ours):
        pairs = list(zip(their["resps"], our["resps"], strict=True))
        if their["arguments"] != our["arguments"]:
            other.append(our["doc_id"])
        elif isinstance(their["resps"][0][0], str):
            other += [our["doc_id"]] * any(a != b for a, b in pairs)
        else:
            worst = max(worst, *(abs(float(a[0][0]) - float(b[0][0])) for a, b in pairs))
            other += [our["doc_id"]] * any(a[0][1] != b[0][1] for a, b in pairs)
    return worst, other


def row(task, harness, ours, turns):
    """A task's row; whether all is equal."""
    batch, tried = harness.fastest(task)
    loaded, theirs, mine, disturbed = [], [], [], []
    for _ in range(turns):
        steps = (
            (loaded, "harness loaded", harness.evaluate, (task, batch)),
            (theirs, "harness command", harness.command, (task, batch)),
            (mine, "ours", ours.command, (task,)),
        )
        for measured, name, function, arguments in steps:
            result, share = measure(f"{task}, {name}", function, *arguments)
            measured.append(result)
            disturbed.append(share)
    score = mine[0][1]
    same = all(other[1] == score for other in loaded + theirs + mine)
    worst, others = compare(theirs[0][2], mine[0][2])
    equal = same and worst <= TOLERANCE and not others
    if not equal:
        print(f"{task}: scores {score} here, {theirs[0][1]} there; log-likelihoods differ by up to {worst:.1e}; other answers: documents {others}")
    seconds = [median(turn[0] for turn in measured) for measured in (loaded, theirs, mine)]
    alone, command, own = seconds
    rates = " | ".join(f"{DOCUMENTS / each:.1f}" for each in seconds)
    print(
        f"| {task} | {alone:.2f} | {command:.2f} | {own:.2f} | {rates} | {command / own:.1f} | **{alone / own:.1f}** | {max(disturbed):.2f} "
        f"| {' '.join(f'{value:.3f}' for value in score.values())} | {'equal' if equal else 'NOT EQUAL'} | {worst:.0e} "
        f"| {batch} ({', '.join(f'{size}: {took:.2f}' for size, took in tried.items())}) |",
        flush=True,
    )
    return equal


def main(tailor, model, turns, names):
    with tempfile.TemporaryDirectory() as work:
        checkpoint, tasks = Path(work) / "model", Path(work) / "tasks"
        write_model(Path(model), checkpoint)
        write_tasks(tasks)
        harness, ours = Harness(checkpoint, tasks), Ours(tailor, checkpoint, tasks)
        versions = ", ".join(f"{package} {version(package)}" for package in ("lm_eval", "transformers", "torch"))
        print(f"{versions}; float32, {torch.get_num_threads()} threads each; {DOCUMENTS} documents; medians of {turns} turns\n")
        print("| task | harness loaded, s | harness command, s | ours, s | harness loaded, documents/s | command | ours | ratio to command | to loaded "
              "| others' processors | scores | all | log-likelihoods differ by | harness's batch (s) |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|---|---|", flush=True)
        equal = [row(task, harness, ours, turns) for task in names or TASKS]
    return 0 if all(equal) else 1


if __name__ == "__main__":
    # Only the table is of interest.
    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
