"""The steps of benches/ablation.sh, which says what is measured: python ablation.py STUDY.toml SEEDS

Needs Python 3.11 and nothing else. A recipe is written as JSON, which is YAML too.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

TAILOR = os.environ["TAILOR"]
WRITTEN = [name for name in os.environ.get("WRITTEN", "").split(",") if name]
TRIALS = os.environ.get("TRIALS")
TOKENS = os.environ.get("TOKENS", "8000")
HEAL_TOKENS = os.environ.get("HEAL_TOKENS", "100000")
HEAL_RATE = os.environ.get("HEAL_RATE", "5e-5")
ONE_SHOT = {"block_influence": "ShortGPT", "angular_distance": "angular distance", "greedy": "SLEB"}


def tailor(*arguments):
    """Runs the program; its message is ours if it fails."""
    done = subprocess.run([TAILOR, *map(str, arguments), "--quiet"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"tailor {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


class Study:
    """A study file, its models and tasks, and the folder in which everything is kept."""

    def __init__(self, path):
        self.path = path.resolve()
        self.text = self.path.read_text()
        self.parsed = tomllib.loads(self.text)
        self.name = self.parsed.get("name", "study")
        self.out = Path(os.environ.get("OUT", self.path.parent / f"ablation-{self.name}")).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.tasks = {task["name"]: task.get("metric", "acc") for task in self.parsed["tasks"]}
        self.includes = [self.beside(folder) for folder in self.parsed.get("include", [])]
        # Where the study tests on fewer documents, so do the steps beside it.
        limits = {task.get("test_limit") for task in self.parsed["tasks"]}
        self.limit = ["--limit", limits.pop()] if len(limits) == 1 and None not in limits else []
        models = self.parsed["models"]
        self.models = {"base": models["base"], **models["variants"]}

    def beside(self, path):
        return (self.path.parent / path).resolve()

    def include(self):
        return [word for folder in self.includes for word in ("--include", folder)]

    def absolute(self, text, paths):
        """The text with those paths absolute that are there; others are names on the hub."""
        for path in paths:
            if self.beside(path).exists():
                text = text.replace(f'"{path}"', f'"{self.beside(path)}"')
        return text

    def variant(self, name, **tables):
        """The study with other keys in its tables, as a file in the folder; paths become absolute."""
        top, *parts = re.split(r"(?m)^(?=\[)", self.text)
        # Outside of the models' tables their paths may be names of other things.
        parts = [self.absolute(part, self.models.values()) if part.startswith("[models") else part for part in parts]
        text = self.absolute(top, self.parsed.get("include", [])) + "".join(parts)
        for table, keys in tables.items():
            text = with_keys(text, table, keys)
        path = self.out / f"{name}.toml"
        path.write_text(text)
        return path

    def search(self, name, seed, **tables):
        """The folder of a finished search."""
        folder = self.out / f"{name}-{seed}"
        if not (folder / "result.json").exists():
            trials = ["--trials", TRIALS] if TRIALS else []
            if (folder / "study.toml").exists():
                tailor("resume", folder, "--no-test")
            else:
                # All searches with bridges fit them on the same text.
                tables["bridge"] = {"statistics": str(self.out / "statistics")}
                tailor("search", self.variant(name, **tables), "--seed", seed, "--out", folder, "--no-test", *trials)
        return folder

    def searched_again(self, name, seed, finished, **tables):
        """The folder of a search with the trials of a finished one, whose end differs."""
        folder = self.out / f"{name}-{seed}"
        if not folder.exists():
            copy = self.out / f"copy-{name}-{seed}"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(finished, copy)
            (copy / "result.json").unlink()
            text = (copy / "study.toml").read_text()
            for table, keys in tables.items():
                text = with_keys(text, table, keys)
            (copy / "study.toml").write_text(text)
            copy.rename(folder)
        return self.search(name, seed)

    def scores(self, model):
        """The scores on the test split of a model or recipe, by task; kept in a file."""
        path = Path(model)
        # A folder by its name, a recipe by its own and its folder's.
        kept = self.out / "scores" / f"{path.parent.name}-{path.stem}.json"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            names = ",".join([*self.tasks, *WRITTEN])
            tailor("eval", model, "--tasks", names, *self.include(), *self.limit, "--output", kept)
        results = json.loads(kept.read_text())["results"]
        metrics = self.tasks | dict.fromkeys(WRITTEN, "exact_match")
        return {task: metric_of(results[task], metric) for task, metric in metrics.items()}


def with_keys(text, table, keys):
    """A TOML text whose table has these keys, in place of what it says of them."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    if f"[{table}]\n" not in text:
        return f"{text.rstrip()}\n\n[{table}]\n{lines}"
    before, after = text.split(f"[{table}]\n", 1)
    inside, *rest = re.split(r"(?m)^(?=\[)", after, maxsplit=1)
    inside = re.sub(rf"(?m)^({'|'.join(keys)}) *=.*\n", "", inside)
    return f"{before}[{table}]\n{lines}{inside}{''.join(rest)}"


def metric_of(result, metric):
    """The value of a metric under any filter."""
    return next(value for key, value in result.items() if key.split(",")[0] == metric)


def best_baselines(study, folder):
    """The best baseline of each method by the search's documents: label, model, removed layers and retention there."""
    parents = json.loads((folder / "parents.json").read_text())
    references = {task: max(score(model, task) for model in parents["models"]) for task in study.tasks}

    def retained(row):
        return sum(score(row, task) / references[task] for task in study.tasks)

    for method, label in ONE_SHOT.items():
        rows = [row for row in parents["baselines"] if row["baseline"]["method"] == method]
        if rows:
            best = max(rows, key=retained)
            yield label, best["baseline"]["model"], best["baseline"]["removed"], retained(best)


def one_shot(study, name, model, removed):
    """The recipe of a removal, as a file."""
    path = study.out / f"{name}.yaml"
    path.write_text(json.dumps(cut(study, model, removed, layers_of(study)), indent=1))
    return path


def score(row, task):
    return next(each["score"] for each in row["scores"] if each["task"] == task)


def layers_of(study):
    config = study.beside(study.models["base"]) / "config.json"
    return json.loads(config.read_text())["num_hidden_layers"]


def cut(study, model, removed, layers):
    """A recipe of one model without some layers."""
    return {
        "tailor": 1,
        "models": {name: str(study.beside(path)) for name, path in study.models.items()},
        "base": "base",
        "tokenizer": model,
        "layers": [{"take": {"model": model, "layer": i}} for i in range(layers) if i not in removed],
        "ends": {end: {"take": {"model": model}} for end in ("embedding", "final_norm", "head")},
    }


def bridged(study, recipe, *options):
    """A one-shot removal with bridges, fitted to the study's tasks on their training split."""
    out = study.out / f"{recipe.stem}-{'sequential' if options else 'bridged'}" / "recipe.yaml"
    if not out.exists():
        tasks = ",".join(study.tasks)
        tailor("bridge", recipe, out, "--tasks", tasks, *study.include(), "--tokens", TOKENS, *options)
    return out


def healed(study, recipe, seed):
    """The recipe after healing, as a checkpoint."""
    out = study.out / f"{recipe.parent.name}-healed-{seed}"
    if not (out / "config.json").exists():
        settings = ["--study", study.variant("healing"), "--tokens", HEAL_TOKENS, "--rate", HEAL_RATE, "--seed", seed]
        tailor("heal", recipe, out, *settings)
    return out


def steps(study, seed):
    """The rows of one seed: label and model."""
    merged = study.search("merged", seed, space={"bridge": "off"})
    for label, model, removed, _ in best_baselines(study, merged):
        yield f"one-shot: {label}", one_shot(study, f"one-shot-{label.replace(' ', '-')}-{seed}", model, removed)
    # A coefficient of nothing makes a merge the base's layer.
    selection = {"bridge": "off", "coefficient": [0.0, 1e-9], "ends": "follow"}
    yield "+ layers of several parents", study.search("selected", seed, space=selection) / "best.yaml"
    yield "+ merging", merged / "best.yaml"
    with_bridges = study.search("bridged", seed, space={"bridge": "refit"}, search={"sequential": False})
    yield "+ bridges", with_bridges / "best.yaml"
    sequential = study.searched_again("sequential", seed, with_bridges, search={"sequential": True})
    yield "+ sequential", sequential / "best.yaml"
    if int(HEAL_TOKENS):
        yield "+ healing", healed(study, sequential / "best.yaml", seed)
    # The same repairs without a search: of the removal that is best with a bridge.
    label, model, removed, _ = max(best_baselines(study, with_bridges), key=lambda best: best[3])
    removal = one_shot(study, f"control-{seed}", model, removed)
    yield "one-shot + bridges, no search", bridged(study, removal)
    refitted = bridged(study, removal, "--sequential")
    yield "one-shot + bridges + sequential, no search", refitted
    if int(HEAL_TOKENS):
        yield "one-shot + bridges + sequential + healing, no search", healed(study, refitted, seed)


def retention(scores, references, tasks):
    """The mean share of the best parents' scores, in per cent."""
    shares = [scores[task] / references[task] for task in tasks if references[task] > 0]
    return 100 * statistics.fmean(shares) if shares else float("nan")


def table(rows, tasks):
    """The means over the seeds, with the standard deviation where there are several."""
    print(f"\n| model | {' | '.join(tasks)} | of best parents, chosen | written |")
    print(f"|---|{'---:|' * (len(tasks) + 2)}")
    for label in dict.fromkeys(row["label"] for row in rows):
        same = [row for row in rows if row["label"] == label]
        cells = [f"{statistics.fmean(row['scores'][task] for row in same):.3f}" for task in tasks]
        for column in ("chosen", "written"):
            values = [row[column] for row in same]
            deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.1f}%{deviation}")
        print(f"| {label} | {' | '.join(cells)} |")


def main():
    study, seeds = Study(Path(sys.argv[1])), int(sys.argv[2])
    parents = {name: study.scores(study.beside(path)) for name, path in study.models.items()}
    names = [*study.tasks, *WRITTEN]
    references = {task: max(scores[task] for scores in parents.values()) for task in names}
    rows = []
    kept = (study.out / "rows.jsonl").open("w")

    def row(label, scores, **more):
        chosen, written = (retention(scores, references, tasks) for tasks in (study.tasks, WRITTEN))
        rows.append({"label": label, "scores": scores, "chosen": chosen, "written": written, **more})
        kept.write(json.dumps(rows[-1]) + "\n")
        kept.flush()

    for name, scores in parents.items():
        row(f"parent: {name}", scores)
    for seed in range(1, seeds + 1):
        for label, model in steps(study, seed):
            row(label, study.scores(model), seed=seed, model=str(model))
            print(f"seed {seed} {label}: {rows[-1]['chosen']:.1f}% {rows[-1]['written']:.1f}%", file=sys.stderr)
    table(rows, names)


if __name__ == "__main__":
    main()
