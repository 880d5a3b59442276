"""How often ``simulate.forecast`` is right, and how fast it is: random networks against training.

    python benchmarks/forecast.py RESULTS.jsonl            # runs what is missing of the 200
    python benchmarks/forecast.py RESULTS.jsonl --table    # prints the table of docs/forecast.md
    python benchmarks/forecast.py RESULTS.jsonl --negative [--table]    # 60 with negative epsilon

The ranges below and the rule were fixed before the runs of part 2, which were run once. Part 1 was
for development and is not quoted. Part 3 has negative epsilon, 3,000 steps, and features up
to 30 times as strong: only then can such networks, whose quadratic part has a sign, fit labels.

The truth is gradient descent, step by step, by ``train(engine="moments")`` in float64, recorded at
40 steps a decade. The rule: a run is right

- if the train loss falls within 10% of the step forecast (or within one step), and so does the test
  loss (the population loss where it is known, else that of the given test set). A loss that does
  not fall within the run is "not within T"; a forecast of "not within T" is right for a fall
  after T/1.1, and the other way round;
- or if training diverges and a divergence was forecast.

Every tenth network is also trained by ``train`` as it is by default (gradient flow), right after.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lazyrich.simulate import DivergenceError, PolynomialTask, forecast, train
from lazyrich.simulate.record import default_grid
from lazyrich.simulate.stability import stable_learning_rate
from lazyrich.simulate.train import plan_of

RUNS, AIM = 200, 0.1
DEVELOPMENT, QUOTED, NEGATIVE = 1, 2, 3
COUNTS = {DEVELOPMENT: 30, QUOTED: RUNS, NEGATIVE: 60}
# All log-uniform but the last.
RANGES = {
    "D": (6, 100),
    "P/D": (0.5, 16),
    "width": (10, 1000),  # two of three; the others are infinitely wide
    "alpha/epsilon": (0.1, 300),
    "alpha epsilon/(D rms y)": (1e-4, 1),
    "learning rate/largest stable": (0.02, 0.6),  # at the start
    "steps": (3000, 100_000),  # and at most MOST_WORK multiplications
    "noise": (0.02, 0.5),  # three of ten
    "decay over the run": (0.01, 3),  # three of ten: half in the loss, half decoupled
    "momentum": (0.3, 0.95),  # three of ten; uniform
}
MOST_WORK, STRONGER = 1.2e11, 30.0
# Two of three are centred. Labels: (beta.x)^2/2; with noise; other polynomials; arrays in float32
# of no polynomial, with a test set.
LABELS = {"plain": 0.4, "noise": 0.3, "polynomial": 0.15, "arrays": 0.15}
POLYNOMIALS = (
    "(beta.x)^3/3 + beta.x",
    "(beta_1.x)(beta_2.x)",
    "(beta.x)^2/2 + 2 beta.x",
    "beta.x",
)
FUNCTIONS = (torch.tanh, torch.abs, torch.cos)


def drawn(rng: np.random.Generator, name: str) -> float:
    low, high = RANGES[name]
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def task_of(rng: np.random.Generator, kind: str) -> PolynomialTask:
    """Return a random data set."""
    D = round(drawn(rng, "D"))
    P, seed = max(2, round(D * drawn(rng, "P/D"))), int(rng.integers(10**6))
    noise, target = drawn(rng, "noise"), str(rng.choice(POLYNOMIALS))
    if kind == "noise":
        return PolynomialTask(D, P, seed=seed, noise=noise)
    if kind == "polynomial":
        return PolynomialTask(D, P, seed=seed, target=target)
    plain = PolynomialTask(D, P, seed=seed)
    if kind == "plain":
        return plain
    function = FUNCTIONS[int(rng.integers(len(FUNCTIONS)))]
    arrays: dict[str, Any] = {"X": plain.X, "X_test": plain.X_test}
    arrays |= {f"y{X[1:]}": function(arrays[X] @ plain.beta) for X in list(arrays)}
    arrays = {name: array.float() for name, array in arrays.items()}
    return PolynomialTask.from_arrays(**arrays)


def network_of(rng: np.random.Generator, task: PolynomialTask, part: int = QUOTED) -> dict:
    """Return the arguments of ``train`` of a random network and rule."""
    negative = part == NEGATIVE
    size = float(task.y.square().mean()) ** 0.5
    laziness, features = drawn(rng, "alpha/epsilon"), drawn(rng, "alpha epsilon/(D rms y)")
    features *= task.D * size
    if negative:
        features *= math.exp(rng.uniform(0, math.log(STRONGER)))
    alpha, epsilon = math.sqrt(features * laziness), math.sqrt(features / laziness)
    if negative:
        epsilon = -epsilon
    width = math.inf if rng.random() < 1 / 3 else round(drawn(rng, "width"))
    found = {"alpha": alpha, "epsilon": epsilon, "width": width, "seed": int(rng.integers(10**6))}
    found["centred"] = bool(rng.random() < 2 / 3)
    low, high = RANGES["momentum"]
    mu = float(rng.uniform(low, high)) if rng.random() < 0.3 else 0.0
    start = plan_of(task, engine="moments", steps=1, **found).training.network.start
    stable = stable_learning_rate(
        task.X, start.wbar, start.M, alpha=alpha, epsilon=epsilon, momentum=mu
    )
    work = 4 * task.P * task.D * start.columns.shape[1]
    most = RANGES["steps"][0] if negative else max(MOST_WORK / work, RANGES["steps"][0])
    steps = round(min(drawn(rng, "steps"), most))
    rate = stable * drawn(rng, "learning rate/largest stable")
    found |= {"momentum": mu, "learning_rate": rate, "steps": steps}
    kind, decay = rng.random(), drawn(rng, "decay over the run") / (rate * steps)
    if kind < 0.15:
        found["weight_decay"] = decay * alpha**2 * (1 - mu)
    elif kind < 0.3:
        found["decoupled_weight_decay"] = decay
    return found


def case(number: int, part: int = QUOTED) -> tuple[str, PolynomialTask, dict]:
    """Return the kind of labels, the data set, and the arguments of ``train``."""
    rng = np.random.default_rng([part, number])
    kind = str(rng.choice(list(LABELS), p=list(LABELS.values())))
    task = task_of(rng, kind)
    return kind, task, network_of(rng, task, part)


def near(said: float, seen: float, steps: int) -> bool:
    """Return whether two steps agree by the rule; inf for not within the run."""
    if math.isinf(said) or math.isinf(seen):
        return min(said, seen) > steps / (1 + AIM)
    return abs(said - seen) <= max(AIM * seen, 1)


def right(row: dict) -> bool:
    """Return whether the forecast of this row was right, by the rule."""
    if math.isfinite(row["seen"][2]) or math.isfinite(row["said"][2]):
        return math.isfinite(row["seen"][2]) == math.isfinite(row["said"][2])
    pairs = zip(row["said"][:2], row["seen"][:2], strict=True)
    return all(near(said, seen, row["steps"]) for said, seen in pairs)


def run(number: int, part: int = QUOTED) -> dict:
    """Return forecast, truth and seconds of one network."""
    kind, task, network = case(number, part)
    begun = time.process_time()
    (said,) = forecast(task, **network).forecasts
    seconds, begun = [time.process_time() - begun], time.process_time()
    grid = default_grid(network["steps"], 40)
    try:
        seen = train(task, engine="moments", alignment=None, record=grid, **network).outcome()
        truth = [seen.train_fall, seen.test_fall, math.inf]
    except DivergenceError as error:
        truth = [math.inf, math.inf, error.step]
    seconds.append(time.process_time() - begun)
    if number % 10 == 0 and not (network["momentum"] and "decoupled_weight_decay" in network):
        begun = time.process_time()
        train(task, **network)
        seconds.append(time.process_time() - begun)
    sizes = {"D": task.D, "P": task.P}
    return (
        {"number": number, "part": part, "labels": kind}
        | sizes
        | network
        | {
            "said": [said.train_fall, said.test_fall, said.diverges],
            "seen": truth,
            "unstable from": said.unstable_from,
            "phases": [said.phase, "diverges" if math.isfinite(truth[2]) else seen.phase],
            "seconds": seconds,
        }
    )


def rows_of(file: Path, part: int = QUOTED) -> list[dict]:
    """Return the rows of a file of results."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [row for row in map(json.loads, lines) if row["part"] == part]


def errors(rows: list[dict]) -> list[float]:
    """Return the relative errors of all falls both forecast and seen."""
    return [
        abs(said / seen - 1)
        for row in rows
        for said, seen in zip(row["said"][:2], row["seen"][:2], strict=True)
        if math.isfinite(said) and math.isfinite(seen) and seen >= 10
    ]


def table(rows: list[dict]) -> str:
    """Return what came out, in Markdown: by kind, speed, and every failure."""
    groups = {
        "all": rows,
        **{f"labels: {k}": [r for r in rows if r["labels"] == k] for k in LABELS},
        "finite width": [r for r in rows if math.isfinite(r["width"])],
        "plain predictor": [r for r in rows if not r["centred"]],
        "momentum": [r for r in rows if r["momentum"]],
        "decay": [r for r in rows if "weight_decay" in r or "decoupled_weight_decay" in r],
        "grok": [r for r in rows if r["phases"][1] == "groks"],
        "diverge": [r for r in rows if r["phases"][1] == "diverges"],
    }
    lines = ["| networks | number | right | phase right | error of a fall, median | 95% |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, some in groups.items():
        sizes = np.array(errors(some) or [math.nan])
        cells = [name, len(some), sum(map(right, some))]
        cells += [sum(r["phases"][0] == r["phases"][1] for r in some)]
        cells += [f"{q:.2%}" if q == q else "" for q in np.quantile(sizes, [0.5, 0.95])]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", speed(rows), "", *failures(rows)])


def speed(rows: list[dict]) -> str:
    """Return the ratios of time in words."""
    exact = [r["seconds"][1] / r["seconds"][0] for r in rows]
    flow = [r["seconds"][2] / r["seconds"][0] for r in rows if len(r["seconds"]) > 2]
    total = np.array([r["seconds"][:2] for r in rows]).sum(0)
    return (
        f"Times as fast as gradient descent step by step: median {np.median(exact):.0f}, all runs "
        f"together {total[1] / total[0]:.0f}; as `train` by default: median {np.median(flow):.0f} "
        f"(least {min(flow):.1f} of {len(flow)})"
    )


def failures(rows: list[dict]) -> list[str]:
    """Return the runs that were not right, a line each."""
    names = ("number", "labels", "D", "P", "width", "alpha", "epsilon", "centred", "momentum")
    return [
        ", ".join(
            f"{name} {row[name]:.3g}" if isinstance(row[name], float) else f"{name} {row[name]}"
            for name in names
        )
        + f": said {row['said']}, seen {row['seen']} within {row['steps']}"
        for row in rows
        if not right(row)
    ]


def main() -> None:
    """Run what is missing, or print the table."""
    torch.set_num_threads(1)
    file = Path(sys.argv[1])
    part = DEVELOPMENT if "--development" in sys.argv else QUOTED
    part = NEGATIVE if "--negative" in sys.argv else part
    rows = rows_of(file, part)
    if "--table" in sys.argv:
        print(table(rows))
        return
    done = {row["number"] for row in rows}
    forecast(case(0, part)[1])  # the first call derives the formulas of the losses
    for number in (n for n in range(COUNTS[part]) if n not in done):
        row = run(number, part)
        with file.open("a") as out:
            out.write(json.dumps(row) + "\n")
        print(number, right(row), row["said"], row["seen"], row["seconds"], flush=True)


if __name__ == "__main__":
    main()
