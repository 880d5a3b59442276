"""Everything that runs on a GPU, against the CPU, in minutes: ``python benchmarks/gpu.py``.

Not part of ``make bench``: most machines have none, and then it says so. For each workload in
float32 it prints the seconds on both, their ratio, and how far the losses differ, in units of the
largest loss. ``--small`` runs everything in seconds; ``--device cpu`` compares the CPU with itself.
A workload that fails is one line, the others are run all the same, and the exit code is 1.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from lazyrich import simulate

Work = Callable[[str], np.ndarray]  # the losses of a run on a device


def _network(engine: str, D: int, width: int, steps: int) -> Work:
    task = simulate.PolynomialTask(D=D, P=11 * D // 2, n_test=1, seed=0)
    numbers = {"alpha": 1.0, "epsilon": 2.0 / D, "learning_rate": D / 10, "alignment": None}

    def work(device: str) -> np.ndarray:
        how = {"engine": engine, "width": width, "steps": steps, "dtype": "float32"}
        run = simulate.train(task, device=device, record=[0, steps], **how, **numbers)
        return run.history.train_loss.values

    return work


def _batch(D: int, width: int, steps: int, runs: int) -> Work:
    tasks = [simulate.PolynomialTask(D=D, P=3 * D, n_test=1, seed=k) for k in range(runs)]
    numbers = {"alpha": 1.0, "epsilon": 0.1, "learning_rate": 1.0, "alignment": None}

    def work(device: str) -> np.ndarray:
        how = {"engine": "moments", "width": width, "steps": steps, "dtype": "float32"}
        found = simulate.run_many(tasks, {"record": [0, steps]}, device=device, **how, **numbers)
        ends = [run for (run,) in found if isinstance(run, simulate.Run)]
        if len(ends) < runs:
            raise RuntimeError(f"{runs - len(ends)} of {runs} runs failed")
        return np.concatenate([run.history.train_loss.values for run in ends])

    return work


def _fit(width: int, samples: int, steps: int) -> Work:
    def work(device: str) -> np.ndarray:
        generator = torch.Generator().manual_seed(0)
        X = torch.randn(samples, 64, generator=generator).to(device)
        y = (X[:, :1] * X[:, 1:2]).contiguous()
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(64, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
        ).to(device)
        how = {"loss": "mse", "optimiser": lambda p: torch.optim.SGD(p, lr=0.01)}
        data = simulate.Data(X, y)
        return simulate.fit(model, data, steps=steps, record=[0, steps], **how).history.train_loss

    return work


def workloads(small: bool) -> dict[str, Work]:
    """The workloads by what they are called, ``small`` ones for a test."""
    few = 10 if small else 1
    D, steps, large = 100 // few, 20_000 // few**3, 4096 // few
    return {
        f"moments, D = {D}, N = 5000": _network("moments", D, 5000, steps),
        f"moments, D = {4 * D}, N = 5000": _network("moments", 4 * D, 5000, steps // 10),
        f"flow, D = {D}, N = 500": _network("flow", D, 500, steps),
        f"flow, D = {4 * D}, N = 500": _network("flow", 4 * D, 500, steps // 10),
        f"neurons, D = {D}, N = 5000": _network("neurons", D, 5000, steps // 10),
        f"{256 // few} runs at once, D = 40": _batch(40, 100, steps // 10, 256 // few),
        f"fit, a perceptron of width {large}": _fit(large, large, max(steps // 100, 2)),
    }


def _timed(work: Work, device: str) -> tuple[float, np.ndarray]:
    begin = time.perf_counter()
    losses = np.asarray(work(device))  # on the CPU: the device has finished
    return time.perf_counter() - begin, losses


def main(arguments: list[str] | None = None) -> None:
    """Print the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="compared with the CPU (default: cuda)")
    parser.add_argument("--small", action="store_true", help="small sizes, within seconds")
    given = parser.parse_args(arguments)
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: nothing is measured")
        return
    print(f"{'float32':40} {'cpu':>8} {given.device:>8} {'ratio':>7} {'losses differ':>14}")
    failed = False
    for name, work in workloads(given.small).items():
        try:
            work(given.device)  # kernels are compiled and chosen at the first run
            (here, at_home), (there, away) = _timed(work, "cpu"), _timed(work, given.device)
        except (RuntimeError, ValueError) as error:  # no memory, an operation that isn't there
            failed = True
            print(f"{name:40} failed: {' '.join(str(error).split())[:200]}", flush=True)
            continue
        differ = abs(away - at_home).max() / abs(at_home).max()
        print(
            f"{name:40} {here:7.2f}s {there:7.2f}s {here / there:7.1f} {differ:14.1e}", flush=True
        )
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
