"""Two programs `tailor` in turn: the table of `commits.sh`.

usage: commits.py OTHER THIS FAMILY TURNS
"""
import hashlib
import sys
import tempfile
from pathlib import Path
from statistics import median

from eval import TASKS, Ours, run, write_model, write_tasks
from merge import METHODS, configuration, read_all


def evaluations(work):
    """For each task of eval.sh: seconds, and scores and samples."""
    model, tasks = work / "model", work / "tasks"
    write_model(Path("examples/family/math"), model)
    write_tasks(tasks)
    for task in TASKS:
        yield f"eval, {task}", lambda tailor, task=task: (lambda done: (done[0], done[1:]))(Ours(tailor, model, tasks).command(task))


def merges(work, family):
    """For each method of merge.sh: seconds, and the hash of the weights."""
    read_all(family)
    for method in METHODS:
        file = configuration(method, family)

        def merge(tailor, file=file):
            with tempfile.TemporaryDirectory(dir=family) as out:
                seconds = run(tailor, "merge", file, f"{out}/merged", "--quiet", "--no-sync")
                weights = hashlib.blake2b()
                for part in sorted(Path(out, "merged").glob("*.safetensors")):
                    weights.update(part.read_bytes())
                return seconds, weights.hexdigest()

        yield f"merge, {method}", merge


def searches(work):
    """The quickstart's 200 trials: seconds, and the best recipe."""

    def search(tailor):
        with tempfile.TemporaryDirectory(dir=work) as out:
            seconds = run(tailor, "search", "examples/quickstart.toml", "--out", f"{out}/study", "--quiet")
            recipe = Path(out, "study/best.yaml").read_text()
            return seconds, [line for line in recipe.splitlines() if not line.startswith("#")]

    yield "search, quickstart", search


def main(other, this, family, turns):
    print("| work | other, s | this, s | other / this |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        for name, measure in [*evaluations(work), *merges(work, family), *searches(work)]:
            # The first time of each fills the page cache.
            measure(other), measure(this)
            pairs = [(measure(other), measure(this)) for _ in range(turns)]
            equal = all(old[1] == new[1] for old, new in pairs)
            before, now = (median(pair[side][0] for pair in pairs) for side in (0, 1))
            print(f"| {name} | {before:.2f} | {now:.2f} | {before / now:.2f}{'' if equal else ', OTHER ANSWERS'} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
