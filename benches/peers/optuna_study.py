"""Compares a database of `tailor report --optuna` (or zo-search's `OptunaStudy::write`) with the journal that it was made from,
through the real Optuna; draws every plot of Optuna's that fits; asks the real optuna-dashboard. See optuna_study.sh.

  optuna_study.py compare JOURNAL.jsonl STUDY.db     every trial: parameters, distributions, values, state, intermediate values, times, attributes
  optuna_study.py plots STUDY.db                     optuna.visualization, with plotly and with matplotlib
  optuna_study.py dashboard STUDY.db                 the dashboard's answers for each study
  optuna_study.py live STUDY.db COMMAND...           runs a search that keeps STUDY.db, and follows it through one dashboard as its page does
"""
import collections
import contextlib
import datetime
import json
import math
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
BOOL = CategoricalDistribution([False, True])


def number(x):
    return float(x) if isinstance(x, str) else x


def parameters(space, point):
    """The parameters of a point of the journal, with their distributions."""
    found = {}
    for dimension in space["dimensions"]:
        name = dimension["name"]
        if name not in point:
            continue
        (kind, domain), (_, value) = *dimension["domain"].items(), *point[name].items()
        if kind == "float":
            found[name] = value, FloatDistribution(domain["low"], domain["high"], log=domain["log"])
        elif kind == "int":
            found[name] = value, IntDistribution(domain["low"], domain["high"])
        elif kind == "categorical":
            found[name] = value, CategoricalDistribution(domain["choices"])
        elif kind == "mask":
            found |= {f"{name}[{i}]": (bit, BOOL) for i, bit in enumerate(value)}
        elif kind == "subset":
            frozen = domain["always"] + domain["never"]
            found |= {f"{name}[{i}]": (i in value, BOOL) for i in range(domain["n"]) if i not in frozen}
        elif kind == "permutation":
            found |= {f"{name}[{i}]": (value.index(i), IntDistribution(0, domain["n"] - 1)) for i in range(domain["n"])}
    return found


def state_and_values(tell, fidelity, objectives):
    if tell is None:
        return TrialState.RUNNING, None
    values = [number(x) for x in tell.get("objectives", [])]
    judged = values + ([number(tell["lead"])] if "lead" in tell else [])
    if tell.get("failure") or len(values) != objectives or any(math.isnan(x) or x == -math.inf for x in judged):
        return TrialState.FAIL, None
    return (TrialState.COMPLETE if fidelity >= 1 else TrialState.PRUNED), values


def step(tell, fidelity, steps):
    values = [number(tell["lead"])] if "lead" in tell else [number(x) for x in tell.get("objectives", [])]
    if values and not tell.get("failure"):
        steps[max(round(1000 * fidelity), max(steps, default=0) + 1)] = values[0]


def same(a, b):
    return repr(a) == repr(b)


def compare(journal, database):
    database = loaded(database)
    lines = [json.loads(line) for line in open(journal, encoding="utf-8")]
    header = lines[0]
    injected = [line for line in lines if line["t"] == "inject"]
    asks = [line for line in lines if line["t"] == "ask"]
    tells = {line["id"]: line for line in lines if line["t"] == "tell" and not line.get("retry")}
    retried = collections.defaultdict(list)
    for line in lines:
        if line["t"] == "tell" and line.get("retry"):
            retried[line["id"]].append(line["failure"]["message"])
    objectives = next((len(x["objectives"]) for x in [*(tells[k] for k in sorted(tells)), *injected] if x.get("objectives")), 1)
    study = optuna.load_study(study_name=header["study"], storage=f"sqlite:///{database}")
    assert [d.name for d in study.directions] == ["MINIMIZE"] * objectives
    trials = study.get_trials()
    assert [t.number for t in trials] == list(range(len(injected) + len(asks))), "numbers"
    states, told_steps, conditional = collections.Counter(), 0, set()
    for place, trial in enumerate(trials):
        ask = injected[place] if place < len(injected) else asks[place - len(injected)]
        known = ask["t"] == "inject"
        tell = ask if known else tells.get(ask["id"])
        fidelity = (tell or {}).get("fidelity") or ask.get("fid", 1.0)
        expected = parameters(header["space"], ask["point"])
        assert trial.params == {name: value for name, (value, _) in expected.items()}, (place, trial.params)
        assert trial.distributions == {name: kind for name, (_, kind) in expected.items()}, place
        conditional |= {d["name"] for d in header["space"]["dimensions"]} - set(ask["point"])
        state, values = state_and_values(tell, fidelity, objectives)
        assert (trial.state, trial.values) == (state, values), (place, trial.state, trial.values, state, values)
        steps = {}
        if not known:
            lower, way = ask, []
            while lower["why"] != "initial" and str(lower["why"]).startswith("promotion of "):
                earlier = asks[int(lower["why"].split()[-1])]
                if earlier["point"] != lower["point"] or earlier["fid"] >= lower["fid"]:
                    break
                way.append(earlier)
                lower = earlier
            for earlier in reversed(way):
                step(tells[earlier["id"]], tells[earlier["id"]].get("fidelity") or earlier["fid"], steps)
            assert trial.user_attrs.get("promoted_from") == (way[0]["id"] + len(injected) if way else None), place
        if tell and (fidelity < 1 or "rung" in ask):
            step(tell, fidelity, steps)
        assert same(trial.intermediate_values, steps), (place, trial.intermediate_values, steps)
        attributes = trial.user_attrs
        assert attributes.get("trial") == ask.get("id"), place
        assert attributes["origin"] == ("injected" if known else ask["why"]), place
        assert attributes.get("retried") == (retried[ask["id"]] if not known and retried[ask["id"]] else None), place
        assert ("failure" in attributes) == (state == TrialState.FAIL), place
        assert constraints(trial) == ([tell["violation"]] if tell and tell.get("violation") else []), place
        if not known:
            close(trial.datetime_start, ask["w"]["unix"])
            close(trial.datetime_complete, tell["w"]["unix"] if tell else None)
        for key, value in ((tell or {}).get("extra") or {}).items():
            for name, leaf in value.items() if isinstance(value, dict) else [(None, value)]:
                known_as = f"{key}.{name}" if name else key
                assert attributes[known_as + "'" * (known_as in ("trial", "origin"))] == leaf, (place, key)
        states[trial.state.name] += 1
        told_steps += len(steps)
    complete = [t for t in trials if t.state == TrialState.COMPLETE and not any(v > 0 for v in constraints(t))]
    if objectives == 1 and complete and not any("lead" in tell for tell in tells.values()):
        assert study.best_trial.number == min(complete, key=lambda t: (t.value, t.number)).number
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print(f"ok: {len(trials)} trials as in the journal ({counts}; {len(injected)} of them known before), {objectives} objectives, "
          f"{told_steps} intermediate values, {sum(len(t.params) for t in trials)} parameters, {len(conditional)} dimensions inactive somewhere")


def loaded(path):
    """A database of the statements of the golden test, whose times are UTC."""
    if not path.endswith(".sql"):
        return path
    os.environ["TZ"] = "UTC"
    time.tzset()
    database = os.path.join(tempfile.mkdtemp(), "golden.db")
    schema = pathlib.Path(path).parents[3] / "src/optuna/schema.sql"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(schema.read_text() + pathlib.Path(path).read_text())
    return database


def constraints(trial):
    """By how much a trial breaks constraints; Optuna 4 has no `FrozenTrial.constraints`."""
    return trial.system_attrs.get("constraints", [])


def close(local, unix):
    if local is None or unix is None:
        assert local is None and unix is None
    else:
        assert abs((local - datetime.datetime.fromtimestamp(unix)).total_seconds()) < 1e-5, (local, unix)


def plots(database):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    for summary in optuna.get_all_study_summaries(f"sqlite:///{database}"):
        study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{database}")
        several = len(study.directions) > 1
        names = study.metric_names or [f"objective {i}" for i in range(len(study.directions))]
        space = optuna.search_space.intersection_search_space(study.get_trials(states=[TrialState.COMPLETE]))
        complete = study.get_trials(states=[TrialState.COMPLETE])
        varying = [name for name in space if len({t.params[name] for t in complete}) > 1][:3]
        for package in (optuna.visualization, optuna.visualization.matplotlib):
            drawn = []

            def draw(name, **options):
                figure = getattr(package, f"plot_{name}")(study, **options)
                if package is optuna.visualization:
                    text = figure.to_json()
                    assert any(trace for trace in json.loads(text)["data"]), name
                plt.close("all")
                drawn.append(name)

            targets = [dict(target=lambda t, i=i: t.values[i], target_name=name) for i, name in enumerate(names)] if several else [{}]
            for target in targets:
                draw("optimization_history", **target)
                draw("slice", params=varying, **target)
                draw("contour", params=varying, **target)
                draw("parallel_coordinate", **target)
                draw("param_importances", **target)
                draw("rank", params=varying, **target)
                draw("edf", **target)
            draw("timeline")
            if any(t.intermediate_values for t in study.get_trials()):
                draw("intermediate_values")
            if several and len(names) in (2, 3):
                draw("pareto_front")
            if several:
                worst = [1.1 * max(t.values[i] for t in complete) + 1e-9 for i in range(len(names))]
                draw("hypervolume_history", reference_point=worst)
            kinds = ", ".join(dict.fromkeys(drawn))
            print(f"ok: {summary.study_name}: {len(drawn)} plots by {package.__name__.removeprefix('optuna.')} ({kinds})")


class Dashboard:
    """The real dashboard on a free port."""

    def __init__(self, database):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        program = pathlib.Path(sys.executable).with_name("optuna-dashboard")
        self.process = subprocess.Popen([program, f"sqlite:///{database}", "--port", str(self.port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, path):
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                    return json.load(answer)
            except (ConnectionError, urllib.error.URLError) as error:
                if isinstance(error, urllib.error.HTTPError):
                    raise
                time.sleep(0.1)
        raise SystemExit("the dashboard does not answer")

    def close(self):
        self.process.terminate()
        self.process.wait()


def dashboard(database):
    board = Dashboard(database)
    try:
        for summary in board.get("/api/studies")["study_summaries"]:
            detail = board.get(f"/api/studies/{summary['study_id']}")
            study = optuna.load_study(study_name=summary["study_name"], storage=f"sqlite:///{database}")
            trials = study.get_trials()
            assert len(detail["trials"]) == len(trials) and summary["directions"] == ["minimize"] * len(study.directions)
            for theirs, ours in zip(detail["trials"], trials):
                assert (theirs["number"], theirs["state"].upper()) == (ours.number, ours.state.name)
                assert [p["name"] for p in theirs["params"]] == list(ours.params)
                assert [float(x) for x in theirs.get("values") or []] == (ours.values or [])
                assert len(theirs["intermediate_values"]) == len(ours.intermediate_values)
            best = [trial["number"] for trial in detail["best_trials"]]
            print(f"ok: optuna-dashboard shows {len(trials)} trials of {summary['study_name']}, {len(detail['union_search_space'])} parameters, "
                  f"{len(detail['union_user_attrs'])} attributes, intermediate values: {detail['has_intermediate_values']}, best {best[:8]}")
    finally:
        board.close()


def live(database, command):
    """Follows as the dashboard's page does: it keeps the finished trials at the beginning and asks for those after them."""
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not os.path.exists(database) and search.poll() is None:
        time.sleep(0.05)
    board, seen, growth = Dashboard(database), [], []
    try:
        ended = False
        while True:
            study_id = board.get("/api/studies")["study_summaries"][0]["study_id"]
            finished = next((i for i, t in enumerate(seen) if t["state"] in ("Running", "Waiting")), len(seen))
            seen = seen[:finished] + board.get(f"/api/studies/{study_id}?after={finished}")["trials"]
            growth.append(len(seen))
            if ended:
                break
            ended = search.poll() is not None
            time.sleep(11 if ended else 0.5)  # It looks into the database again after 2 to 10 seconds.
        assert search.returncode == 0, f"the search ended with {search.returncode}"
    finally:
        board.close()
    board = Dashboard(database)
    try:
        whole = board.get(f"/api/studies/{study_id}")["trials"]
    finally:
        board.close()
    assert seen == whole, "what the page has put together is not what a new one is shown"
    counts = list(dict.fromkeys(growth))
    assert len(counts) > 2, counts
    print(f"ok: one dashboard, open while searching, saw {counts} trials, at last what a new one shows")


what, *rest = sys.argv[1:]
if what == "live":
    live(rest[0], rest[1:])
else:
    {"compare": compare, "plots": plots, "dashboard": dashboard}[what](*rest)
