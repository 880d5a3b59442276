"""Settings of the whole suite: threads, Hypothesis profiles, run-time checks of array shapes."""

import os
import signal
import threading

# Two workers on two cores: one thread each. Before anything loads a BLAS or torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# quick: on a developer's machine. ci: the same examples every time. thorough: on demand, by
# HYPOTHESIS_PROFILE=thorough or pytest --hypothesis-profile=thorough. No deadlines anywhere: on a
# shared machine they report the neighbours.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=20, **_COMMON)
settings.register_profile("ci", max_examples=25, derandomize=True, print_blob=True, **_COMMON)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_COMMON)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "quick")
)

# A shell ignores Ctrl-C in what it starts in the background, and nohup a hangup; a process that a
# test starts would inherit that. What is handled here is back at its default there.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# Checks the jaxtyping shapes of calls into lazyrich.simulate (shapes.py). It must stand before the
# first import of that package, which is here.
pytest_plugins = ["tests.shapes"]


# Files that derive every closed form: one worker takes them all, and derives each form once.
CLOSED_FORMS = {
    f"test_{name}.py"
    for name in (
        *("docs", "cli", "checking", "rich_display", "generate", "closed_forms", "values"),
        *("grammar_latex", "symbols", "docs_names", "certificates", "printing", "doctests"),
    )
}


def pytest_collection_modifyitems(items):
    """The long files first: each goes whole to one worker, which keeps the runs that it shares."""
    first = ["test_verdicts.py", "test_figures_tiny.py", *sorted(CLOSED_FORMS), "test_types.py"]
    first += ["test_diagnose.py", "test_explore.py", "test_figures.py", "test_sweep.py"]
    first += ["test_own_problem.py", "test_cluster.py", "test_flow.py", "test_explore_browser.py"]
    first += ["test_lazy_curve.py", "test_lazy_extremes.py", "test_modules_fit.py"]
    first += ["test_cli_environment.py", "test_tutorials.py", "test_modules_any.py"]
    first += ["test_patience.py", "test_batch.py", "test_figures_fits.py", "test_problem_nouns.py"]
    places = {name: place for place, name in enumerate(dict.fromkeys(first))}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """``--dist loadfile`` with the files of closed forms as one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "closed forms" if file.rpartition("/")[2] in CLOSED_FORMS else file

    return Together(config, log)


@pytest.fixture(scope="module")
def server():
    """A running server of the explorer, on a port that is free."""
    from lazyrich.explore.server import Server

    made = Server(0)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()
