"""A study by several processes, some of which are killed, gives the lines that one undisturbed process gives.

    check.py TAILOR [URL]

HyperQueue (its Python package: a server and two workers in this process) runs what `hyperqueue.sh` gives each task. In
a folder, then in the database at URL: once the third task is killed (kill -9) in the middle of the trials, once the
first one, which leads. With a URL, the commands of `kubernetes.yaml` are run too, as processes.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from hyperqueue import Job
from hyperqueue.cluster import LocalCluster, WorkerConfig

HERE = Path(__file__).resolve().parent
FAMILY = HERE.parent / "family"
STUDY = f"""
name = "NAME"
store = "STORE"
seed = 1
include = ["{FAMILY}/tasks"]
[models]
base = "{FAMILY}/base"
variants = {{ math = "{FAMILY}/math", lists = "{FAMILY}/lists" }}
[space]
remove = 3
bridge = "refit"
[baselines]
methods = ["random", "block_influence"]
random_draws = 1
[[tasks]]
name = "family_arithmetic"
limit = 200
test_limit = 50
[[tasks]]
name = "family_lists"
limit = 200
test_limit = 50
[search]
trials = 60
batch = 4
ahead = 1
parts = 2
confirm_candidates = 2
"""
WORKERS = 3
PATIENCE = 300  # seconds that a study may take


def ask(url, sql):
    """The rows that a database gives, as text."""
    return subprocess.run(["psql", url, "-Atc", sql], capture_output=True, text=True, check=True).stdout


def lines(folder, url, name):
    """The lines of a study, without what differs between equal ones: times, checksums, its name."""
    if url:
        text = ask(url, f"SELECT line FROM zo_search.lines JOIN zo_search.studies ON id = study "
                        f"WHERE name = '{name}' ORDER BY number")
    else:
        # FIRST-LENGTH.jsonl: so many bytes count.
        segments = sorted((folder / "shared" / "lines").glob("*.jsonl"))
        text = "".join(
            segment.read_bytes()[: int(segment.name.split("-")[1].split(".")[0])].decode() for segment in segments
        )
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        for key in ("w", "c") + (("study",) if line["t"] == "header" else ()):
            line.pop(key, None)
    return found


def told(folder, url, name):
    """How many trials of a study that may not be begun yet have results."""
    if url:
        if not ask(url, "SELECT to_regclass('zo_search.lines')").strip():
            return 0
        return int(ask(url, f"SELECT count(*) FROM zo_search.lines JOIN zo_search.studies ON id = study "
                            f"WHERE name = '{name}' AND line LIKE '{{\"t\":\"tell\"%'"))
    return sum(segment.read_text().count('{"t":"tell"') for segment in (folder / "shared" / "lines").glob("*.jsonl"))


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what}: not after {PATIENCE} s")
        time.sleep(0.05)


def process_of(task_out):
    """The process that a task of HyperQueue runs: it writes its number first."""
    return int(task_out.read_text().split()[0])


def study_file(place, name, url):
    path = place / f"{name}.toml"
    path.write_text(STUDY.replace("NAME", name).replace("STORE", url or "directory"))
    return path


def killed(tailor, place, name, url, victim):
    """The lines of a study by a task array, one task of which is killed when some trials are done."""
    study, out = study_file(place, name, url), place / name
    logs = place / f"{name}-logs"
    logs.mkdir()
    with LocalCluster(str(place / f"{name}-hq"), WorkerConfig(cores=2)) as cluster:
        cluster.start_worker(WorkerConfig(cores=2))
        client, job = cluster.client(), Job(max_fails=None)
        for number in range(WORKERS):
            job.program(
                ["sh", "-c", 'echo $$; exec "$0" "$@"', str(HERE / "hyperqueue.sh"), str(study), str(out)],
                # Short leases, so that what the killed one held is soon another's.
                env={"TAILOR": str(tailor), "DEVICE": "cpu", "WORK_OPTIONS": "--lease 5"},
                stdout=logs / f"{number}.out",
                stderr=logs / f"{number}.err",
            )
        submitted = client.submit(job)
        wait_for(f"{name}: 8 trials", lambda: told(out, url, name) >= 8)
        os.kill(process_of(logs / f"{victim}.out"), signal.SIGKILL)
        print(f"{name}: task {victim} killed after {told(out, url, name)} trials", flush=True)
        client.wait_for_jobs([submitted], raise_on_error=False)
        failed = set(client.get_failed_tasks(submitted))
    if failed != {victim}:
        sys.exit(f"{name}: tasks {failed} failed, not {victim} alone; see {logs}")
    return lines(out, url, name)


def by_pods(tailor, place, name, url):
    """The lines of a study by the commands of the manifest's pods."""
    study_file(place, name, url).rename(place / "study.toml")
    manifest = yaml.safe_load((HERE / "kubernetes.yaml").read_text())
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    pods = []
    for index in range(2):
        folders = {"/study/study.toml": str(place / "study.toml"), "/scratch": str(place / f"{name}-{index}")}
        script = container["args"][0]
        for inside, outside in folders.items():
            script = script.replace(inside, outside)
        own = {"STORE": url, "STUDY": name, "JOB_COMPLETION_INDEX": str(index)}
        own["PATH"] = f"{tailor.parent}:{os.environ['PATH']}"
        log = (place / f"{name}-{index}.log").open("w")
        pods.append(subprocess.Popen(container["command"] + [script], env=os.environ | own, stdout=log, stderr=log))
    codes = [pod.wait(PATIENCE) for pod in pods]
    if any(codes):
        sys.exit(f"{name}: pods ended with {codes}; see {place}")
    return lines(None, url, name)


def check(tailor, place, url):
    alone = place / "alone"
    subprocess.run([tailor, "--quiet", "search", study_file(place, "alone", None), "--out", alone],
                   check=True, stdout=subprocess.DEVNULL)
    expected = lines(alone, None, "alone")
    again = f"{os.getpid()}"
    studies = []
    for store in [None] + ([url] if url else []):
        for victim in (2, 0):
            name = f"{'database' if store else 'folder'}-{victim}-{again}"
            studies.append((name, killed(tailor, place, name, store, victim)))
    if url:
        studies.append((f"pods-{again}", by_pods(tailor, place, f"pods-{again}", url)))
    for name, found in studies:
        if found != expected:
            first = next((place for place, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), "the end")
            sys.exit(f"{name}: {len(found)} lines, {len(expected)} expected; they differ from line {first} on")
        print(f"{name}: the {len(found)} lines of one undisturbed process")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="tailor-cluster-") as folder:
        check(Path(sys.argv[1]), Path(folder), sys.argv[2] if len(sys.argv) == 3 else None)
