"""One peer's optimiser over one of zo-search's spaces, asked and told in lines of JSON.

The first line says what is to be searched:
  {"space": zo-search's Space, "strategy": NAME, "seed": 0, "trials": 500, "initial": [points], "options": {}}
(`trials`: how many evaluations there will be, which SMAC's default design wants to know.) The answer is {"ready": "library version"}. Then
  {"ask": n}                                    -> {"trials": [{"id": 0, "point": {..}}, ..]}, fewer or none when no point is left
  {"tell": id, "cost": x, "objectives": [x, ..]} -> no answer; `cost` null: it failed
Points are zo-search's: {"x": {"float": 0.5}, "remove": {"subset": [1, 4]}}, with values for the active dimensions.

Strategies: smac3, optuna-tpe, optuna-cmaes, optuna-nsga2, random (Optuna's), pycma. How each one is given types that it does not know:
- SMAC3 (ConfigSpace): a subset is `k` integers of which no two may be equal (forbidden clauses), as in auto-merge-llm, and a mask a
  categorical {0, 1} per bit; all conditions are ConfigSpace's own.
- Optuna (define-by-run): a subset is a float per item, and the `k` smallest are chosen: each set then has one name up to the scale, where
  `k` integers have k! names and must be repaired; a mask is a categorical per bit; inactive dimensions are not suggested.
- pycma: one vector, all dimensions always active; a subset as for Optuna, a mask by a threshold per bit, a categorical the largest of a
  coordinate per choice, an integer a coordinate in its own unit under pycma's integer handling.

Options: {"objectives": 2} (Optuna), {"orders": [[..], ..]} (SMAC3: the order in which each initial point names its subset),
{"group": true} (Optuna's TPE), {"subset": "integers"} (Optuna: `k` integers, repaired by the next free item).
"""

import json
import logging
import math
import sys
import tempfile
import warnings
from importlib.metadata import version

import numpy as np

warnings.filterwarnings("ignore")


def kind_of(dimension):
    return next(iter(dimension["domain"].items()))


def holds(condition, point):
    kind, of = next(iter(condition.items()))
    if of["parent"] not in point:
        return False
    found, value = next(iter(point[of["parent"]].items())), point[of["parent"]]
    if kind == "is":
        return value == of["value"]
    if kind == "at_least":
        return sum(found[1]) >= of["count"]
    return (of["item"] in found[1]) == (kind == "inside")


def active(dimension, point):
    return all(holds(condition, point) for condition in dimension.get("when", []))


def subset_size(name, domain):
    if domain["always"] or domain["never"] or domain.get("least") not in (None, domain["k"]):
        raise SystemExit(f"{name}: the bridge knows only subsets of one size without frozen items")
    return domain["n"], domain["k"]


class Smac:
    """SMAC3's HyperparameterOptimizationFacade with its own settings: forest of 10 trees, EI, 1 of 5 points random; deterministic.

    With initial points, these are the whole initial design (auto-merge-llm's way); else it is SMAC's Sobol design. ParEGO, which the reference
    sets, does nothing with one objective.
    """

    def __init__(self, task):
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario

        self.dimensions = task["space"]["dimensions"]
        self.space = configuration_space(self.dimensions, task["seed"])
        folder = tempfile.mkdtemp(prefix="smac-")
        scenario = Scenario(
            self.space, output_directory=folder, deterministic=True, n_trials=max(task["trials"], len(task["initial"]) + 1), seed=task["seed"], n_workers=1
        )
        initial = [self.configuration(point, order) for point, order in with_orders(task)]
        design = {"n_configs": 0, "additional_configs": initial} if initial else {}
        self.facade = Facade(
            scenario,
            lambda configuration, seed=0: 0.0,
            initial_design=Facade.get_initial_design(scenario, **design),
            intensifier=Facade.get_intensifier(scenario, max_config_calls=1),
            logging_level=False,
            overwrite=True,
        )
        logging.disable(logging.CRITICAL)
        self.infos = []
        self.version = f"smac {version('smac')}"

    def ask(self):
        info = self.facade.ask()
        self.infos.append(info)
        return self.point(dict(info.config))

    def tell(self, number, cost, _objectives):
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        value = TrialValue(cost=cost) if cost is not None else TrialValue(cost=math.inf, status=StatusType.CRASHED)
        self.facade.tell(self.infos[number], value, save=False)

    def point(self, values):
        point = {}
        for dimension in self.dimensions:
            if not active(dimension, point):
                continue
            name, (kind, domain) = dimension["name"], kind_of(dimension)
            if kind == "subset":
                point[name] = {kind: sorted(int(values[f"{name}#{i}"]) for i in range(domain["k"]))}
            elif kind == "mask":
                point[name] = {kind: [bool(values[f"{name}#{i}"] == 1) for i in range(domain["n"])]}
            elif kind == "float":
                point[name] = {kind: float(values[name])}
            elif kind == "int":
                point[name] = {kind: int(values[name])}
            else:
                point[name] = {kind: str(values[name])}
        return point

    def configuration(self, point, order):
        from ConfigSpace import Configuration

        values = {}
        for name, value in point.items():
            kind, value = next(iter(value.items()))
            if kind == "subset":
                value = order or value
            if kind in ("subset", "mask"):
                values.update({f"{name}#{i}": int(one) for i, one in enumerate(value)})
            else:
                values[name] = value
        return Configuration(self.space, values=values)


def with_orders(task):
    orders = task["options"].get("orders") or [None] * len(task["initial"])
    return zip(task["initial"], orders)


def configuration_space(dimensions, seed):
    """The space as ConfigSpace has it.

    ConfigSpace draws (clauses / dimensions)^2 times as many vectors as it is asked for: gigabytes for a subset alone. Ours draws as many as
    rejection needs, from the same distribution.
    """
    from ConfigSpace import (
        AndConjunction, Categorical, ConfigurationSpace, EqualsCondition, Float, ForbiddenAndConjunction, ForbiddenEqualsClause, Integer,
        NotEqualsCondition, OrConjunction,
    )
    from ConfigSpace.configuration import Configuration
    from itertools import combinations

    class Space(ConfigurationSpace):
        accepted = 1.0

        def sample_configuration(self, size=None):
            wanted, found = (1 if size is None else size), []
            while len(found) < wanted:
                count = max(8, int(1.2 * (wanted - len(found)) / self.accepted))
                matrix = np.empty((len(self), count))
                for i, one in enumerate(self.values()):
                    matrix[i] = one._vector_dist.sample_vector(n=count, seed=self.random)
                forbidden = np.zeros(count, dtype=bool)
                for clause in self._dag.unconditional_forbiddens:
                    forbidden |= clause.is_forbidden_vector_array(matrix)
                matrix = matrix[:, ~forbidden]
                for node in self._dag.minimum_conditions:
                    met = node.condition.satisfied_by_vector_array(matrix)
                    matrix[np.ix_(node.children_indices, ~met)] = np.nan
                forbidden = np.zeros(matrix.shape[1], dtype=bool)
                for clause in self._dag.conditional_forbiddens:
                    forbidden |= clause.is_forbidden_vector_array(matrix)
                kept = matrix[:, ~forbidden].T[: wanted - len(found)]
                found.extend(Configuration(self, vector=vector) for vector in kept)
            return found[0] if size is None else found

    def join(conjunction, parts):
        return parts[0] if len(parts) == 1 else conjunction(*parts)

    space, made, forbidden, conditions = Space(seed=seed), {}, [], []
    for dimension in dimensions:
        name, (kind, domain) = dimension["name"], kind_of(dimension)
        if kind == "float":
            of = [Float(name, (domain["low"], domain["high"]), log=domain["log"])]
        elif kind == "int":
            of = [Integer(name, (domain["low"], domain["high"]))]
        elif kind == "categorical":
            of = [Categorical(name, domain["choices"])]
        elif kind == "mask":
            of = [Categorical(f"{name}#{i}", [0, 1]) for i in range(domain["n"])]
        elif kind == "subset":
            n, k = subset_size(name, domain)
            of = [Integer(f"{name}#{i}", (0, n - 1), default=i) for i in range(k)]
            Space.accepted *= math.perm(n, k) / n**k
            for a, b in combinations(of, 2):
                forbidden += [ForbiddenAndConjunction(ForbiddenEqualsClause(a, v), ForbiddenEqualsClause(b, v)) for v in range(n)]
        else:
            raise SystemExit(f"{name}: the bridge has no {kind} for SMAC3")
        made[name] = of
        for child in of:
            parts = []
            for condition in dimension.get("when", []):
                how, what = next(iter(condition.items()))
                parents = made[what["parent"]]
                if how == "inside":
                    parts.append(join(OrConjunction, [EqualsCondition(child, parent, what["item"]) for parent in parents]))
                elif how == "outside":
                    parts += [NotEqualsCondition(child, parent, what["item"]) for parent in parents]
                elif how == "at_least":
                    sets = combinations(parents, what["count"])
                    ones = [join(AndConjunction, [EqualsCondition(child, parent, 1) for parent in some]) for some in sets]
                    parts.append(join(OrConjunction, ones))
                else:
                    value = next(iter(what["value"].values()))
                    values = value if isinstance(value, list) else [value]
                    parts += [EqualsCondition(child, parent, one) for parent, one in zip(parents, values)]
            if parts:
                conditions.append(join(AndConjunction, parts))
    space.add([one for of in made.values() for one in of])
    if conditions:
        space.add(conditions)
    if forbidden:
        space.add(forbidden)
    return space


class Optuna:
    """An Optuna sampler with its defaults."""

    def __init__(self, task):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers, seed, options = optuna.samplers, task["seed"], task["options"]
        sampler = {
            "optuna-tpe": lambda: samplers.TPESampler(seed=seed, **({"group": True, "multivariate": True} if options.get("group") else {})),
            "optuna-cmaes": lambda: samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
            "optuna-nsga2": lambda: samplers.NSGAIISampler(seed=seed),
            "random": lambda: samplers.RandomSampler(seed=seed),
        }[task["strategy"]]()
        self.study = optuna.create_study(directions=["minimize"] * options.get("objectives", 1), sampler=sampler)
        self.failed = optuna.trial.TrialState.FAIL
        self.integers = options.get("subset") == "integers"
        self.dimensions, self.trials = task["space"]["dimensions"], []
        self.random = np.random.default_rng(seed)
        for point in task["initial"]:
            self.study.enqueue_trial(self.parameters(point))
        self.version = f"optuna {optuna.__version__}"

    def ask(self):
        trial, point = self.study.ask(), {}
        self.trials.append(trial)
        for dimension in self.dimensions:
            if active(dimension, point):
                name, (kind, domain) = dimension["name"], kind_of(dimension)
                point[name] = {kind: self.suggest(trial, name, kind, domain)}
        return point

    def suggest(self, trial, name, kind, domain):
        if kind == "float":
            return trial.suggest_float(name, domain["low"], domain["high"], log=domain["log"])
        if kind == "int":
            return trial.suggest_int(name, domain["low"], domain["high"])
        if kind == "categorical":
            return trial.suggest_categorical(name, domain["choices"])
        if kind == "mask":
            return [trial.suggest_categorical(f"{name}#{i}", [False, True]) for i in range(domain["n"])]
        if kind == "subset":
            n, k = subset_size(name, domain)
            if self.integers:
                chosen = []
                for i in range(k):
                    item = trial.suggest_int(f"{name}#{i}", 0, n - 1)
                    while item in chosen:
                        item = (item + 1) % n
                    chosen.append(item)
                return sorted(chosen)
            keys = [trial.suggest_float(f"{name}#{i}", 0.0, 1.0) for i in range(n)]
            return smallest(keys, k)
        raise SystemExit(f"{name}: the bridge has no {kind} for Optuna")

    def parameters(self, point):
        domains, parameters = {d["name"]: kind_of(d) for d in self.dimensions}, {}
        for name, value in point.items():
            kind, value = next(iter(value.items()))
            if kind == "subset" and self.integers:
                parameters.update({f"{name}#{i}": item for i, item in enumerate(value)})
            elif kind == "subset":
                keys = self.random.uniform(0.0, 0.5, domains[name][1]["n"])
                parameters.update({f"{name}#{i}": key + 0.5 * (i not in value) for i, key in enumerate(keys)})
            elif kind == "mask":
                parameters.update({f"{name}#{i}": bit for i, bit in enumerate(value)})
            else:
                parameters[name] = value
        return parameters

    def tell(self, number, cost, objectives):
        trial = self.trials[number]
        if cost is None:
            self.study.tell(trial, state=self.failed)
        else:
            self.study.tell(trial, objectives or [cost])


def smallest(keys, k):
    return sorted(sorted(range(len(keys)), key=lambda i: keys[i])[:k])


class Pycma:
    """pycma in the unit cube (integers in their own unit), sigma 0.25 from the centre or the best initial point; on a stop, again from a random
    point with twice the population (IPOP). The rest is pycma's default."""

    def __init__(self, task):
        import cma

        self.cma, self.seed, self.dimensions = cma, task["seed"], task["space"]["dimensions"]
        self.random = np.random.default_rng(task["seed"])
        self.low, self.high, self.integer = [], [], []
        for dimension in self.dimensions:
            name, (kind, domain) = dimension["name"], kind_of(dimension)
            if kind == "int":
                self.integer.append(len(self.low))
                self.low.append(domain["low"] - 0.5 + 1e-9)
                self.high.append(domain["high"] + 0.5 - 1e-9)
                continue
            count = {"float": 1, "mask": domain.get("n"), "categorical": len(domain.get("choices", []))}.get(kind)
            if kind == "subset":
                count, _ = subset_size(name, domain)
            if count is None:
                raise SystemExit(f"{name}: the bridge has no {kind} for pycma")
            self.low += [0.0] * count
            self.high += [1.0] * count
        self.low, self.high = np.array(self.low), np.array(self.high)
        self.initial = list(task["initial"])
        self.vectors, self.costs, self.points, self.queue, self.generation = [], {}, [], [], []
        self.strategy, self.restarts = None, 0
        self.version = f"cma {cma.__version__}"

    def begin(self, start):
        options = {
            "bounds": [list(self.low), list(self.high)], "CMA_stds": list(self.high - self.low), "seed": self.seed + 1 + 1000 * self.restarts,
            "verbose": -9, "integer_variables": self.integer,
        }
        if self.restarts:
            options["popsize"] = self.strategy.popsize * 2
        self.strategy = self.cma.CMAEvolutionStrategy(list(start), 0.25, options)
        self.restarts += 1

    def ask(self):
        if len(self.points) < len(self.initial):
            point = self.initial[len(self.points)]
            self.vectors.append(self.encode(point))
            self.points.append(point)
            return point
        if self.strategy is None:
            told = [i for i in range(len(self.initial)) if i in self.costs]
            best = min(told, key=lambda i: self.costs[i], default=None)
            self.begin((self.low + self.high) / 2 if best is None else self.vectors[best])
        if not self.queue:
            self.finish_generation()
            self.queue = list(self.strategy.ask())
            self.generation = []
        vector = self.queue.pop(0)
        self.generation.append(len(self.vectors))
        self.vectors.append(vector)
        self.points.append(self.decode(vector))
        return self.points[-1]

    def finish_generation(self):
        if not self.generation:
            return
        finite = [self.costs[i] for i in self.generation if math.isfinite(self.costs.get(i, math.inf))]
        worst = max(finite, default=0.0)
        costs = [c if math.isfinite(c) else worst + abs(worst) + 1.0 for c in (self.costs.get(i, math.inf) for i in self.generation)]
        self.strategy.tell([self.vectors[i] for i in self.generation], costs)
        if self.strategy.stop():
            self.begin(self.random.uniform(self.low, self.high))

    def tell(self, number, cost, _objectives):
        self.costs[number] = math.inf if cost is None else cost

    def decode(self, vector):
        point, at = {}, 0
        for dimension in self.dimensions:
            name, (kind, domain) = dimension["name"], kind_of(dimension)
            count = {"mask": domain.get("n"), "subset": domain.get("n"), "categorical": len(domain.get("choices", []))}.get(kind, 1)
            part, at = [float(x) for x in vector[at : at + count]], at + count
            if not active(dimension, point):
                continue
            if kind == "float":
                point[name] = {kind: from_unit(part[0], domain)}
            elif kind == "int":
                point[name] = {kind: min(max(round(part[0]), domain["low"]), domain["high"])}
            elif kind == "mask":
                point[name] = {kind: [x >= 0.5 for x in part]}
            elif kind == "subset":
                point[name] = {kind: smallest(part, domain["k"])}
            else:
                point[name] = {kind: domain["choices"][int(np.argmax(part))]}
        return point

    def encode(self, point):
        vector = []
        for dimension in self.dimensions:
            name, (kind, domain) = dimension["name"], kind_of(dimension)
            value = next(iter(point[name].values())) if name in point else None
            if kind == "float":
                vector.append(0.5 if value is None else to_unit(value, domain))
            elif kind == "int":
                vector.append((domain["low"] + domain["high"]) / 2 if value is None else value)
            elif kind == "mask":
                vector += [0.5] * domain["n"] if value is None else [0.75 if bit else 0.25 for bit in value]
            elif kind == "subset":
                vector += [0.5 if value is None else 0.25 if i in value else 0.75 for i in range(domain["n"])]
            else:
                vector += [0.5 if value is None else 0.75 if one == value else 0.25 for one in domain["choices"]]
        return np.array(vector, dtype=float)


def from_unit(unit, domain):
    low, high = domain["low"], domain["high"]
    if domain["log"]:
        low, high = math.log(low), math.log(high)
    value = low + min(max(unit, 0.0), 1.0) * (high - low)
    value = math.exp(value) if domain["log"] else value
    return min(max(value, domain["low"]), domain["high"])


def to_unit(value, domain):
    low, high = domain["low"], domain["high"]
    if domain["log"]:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low) if high > low else 0.5


def main():
    # The libraries may print; only answers go to the real standard output.
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    task = json.loads(sys.stdin.readline())
    task = {"initial": [], "options": {}, "trials": 100, "seed": 0} | task
    strategies = {"smac3": Smac, "pycma": Pycma}
    optimizer = strategies.get(task["strategy"], Optuna)(task)
    answer({"ready": optimizer.version})
    count = 0
    for line in sys.stdin:
        message = json.loads(line)
        if "tell" in message:
            optimizer.tell(message["tell"], message["cost"], message.get("objectives"))
            continue
        trials = []
        try:
            for _ in range(message["ask"]):
                trials.append({"id": count, "point": optimizer.ask()})
                count += 1
        except StopIteration:
            pass
        answer({"trials": trials})


if __name__ == "__main__":
    main()
