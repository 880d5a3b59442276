"""The runs that a store lacks, made by workers one set after another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import xarray

from lazyrich.simulate.experiment import Experiment, Outcome, Settings
from lazyrich.simulate.netcdf import encoded
from lazyrich.simulate.store import Store, address, sealed
from lazyrich.simulate.workers import Workers
from lazyrich.support.files import check_writable
from lazyrich.support.patience import Progress, told

# An experiment, and the settings of some of its runs.
Group = tuple[Experiment, Sequence[Settings]]


def complete_store(
    asked: Mapping[str, Sequence[Group]],
    store: Store,
    pool: Workers,
    progress: Progress | None = None,
) -> Iterator[tuple[str, list[list[str]]]]:
    """Do the runs that the store lacks; yield each name with the addresses of its runs, by group.

    The first name's runs come first, and among them the most expensive, so that its end does not
    wait for one long run. Batches don't mix groups. They depend on the group alone, not on what is
    missing.
    """
    work = _Work(store)
    keys = {name: work.add(name, groups) for name, groups in asked.items()}
    if work.calls:
        check_writable("folder", store.folder)
    results, done = pool.results(_contents, work.calls), set()
    try:
        for name in asked:
            report, left = told(progress, "the runs"), work.needs[name] - done
            total = sum(work.costs[task] for task in work.needs[name])
            spent = total - sum(work.costs[task] for task in left)
            while left:
                task, contents = next(results)
                store.save(contents)
                done.add(task)
                if task in left:
                    left.remove(task)
                    spent += work.costs[task]
                    report(spent, total)
            yield name, keys[name]
    finally:
        results.close()


class _Work:
    """The batches to run, by number, in their order: costs, and which of them each name needs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made_by: dict[str, int] = {}
        self.calls: list[tuple[int, tuple]] = []
        self.costs: list[float] = []
        self.needs: dict[str, set[int]] = {}

    def add(self, name: str, groups: Iterable[Group]) -> list[list[str]]:
        """Add the missing runs of these groups and return the addresses of all of them."""
        keys, new, made_by = [], [], self._made_by
        needs = self.needs.setdefault(name, set())
        for experiment, wanted in groups:
            keys.append([address(one, experiment.code(one)) for one in wanted])
            for places in experiment.batches(wanted):
                batch, mine = [wanted[i] for i in places], [keys[-1][i] for i in places]
                missing = {
                    i: k for i, k in enumerate(mine) if k not in made_by and not self._store.has(k)
                }
                if missing:
                    task = len(self.costs)
                    made_by |= dict.fromkeys(missing.values(), task)
                    checkpoint = self._store.checkpoint(mine[0])
                    new.append((task, (experiment, batch, missing, checkpoint)))
                    self.costs.append(sum(map(experiment.cost, batch)))
                needs |= {made_by[key] for key in mine if key in made_by}
        self.calls += sorted(new, key=lambda call: -self.costs[call[0]])
        return keys


def _contents(
    experiment: Experiment,
    batch: Sequence[Settings],
    missing: Mapping[int, str],
    checkpoint: Path,
) -> dict[str, bytes]:
    """Run a batch, where the worker is, and return the files of its missing runs by address.

    Their content takes longer to make than to write.
    """
    if any(address(batch[i], experiment.code(batch[i])) != key for i, key in missing.items()):
        raise ValueError(
            "a worker has other code or other packages than this process: install the same "
            "versions of lazyrich, torch and the rest everywhere"
        )
    outcomes = experiment.outcomes(batch, checkpoint)
    return {key: sealed(_content(outcomes[i]), key, batch[i]) for i, key in missing.items()}


def _content(outcome: Outcome) -> bytes:
    if isinstance(outcome, xarray.Dataset):
        return encoded({"history": outcome}, {})
    return outcome.to_bytes()
