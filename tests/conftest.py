"""Settings of the whole suite: threads, Hypothesis profiles, run-time checks of array shapes."""

import os
import threading

# Two workers on two cores: one thread each. Before anything loads a BLAS or torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
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

# Checks the jaxtyping shapes of calls into lazyrich.simulate (shapes.py). It must stand before the
# first import of that package, which is here.
jaxtyping.install_import_hook("lazyrich.simulate", "tests.shapes.at_first_calls")
pytest_plugins = ["tests.shapes"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share runs go to one worker, and the long ones first.

    With ``--dist loadgroup``: the tests of a file, those of a figure, and the claims whose evidence
    stands in one module. A run that two workers need is trained twice.
    """
    first = ("test_verdicts.py", "test_figures_tiny.py")
    items.sort(key=lambda item: item.path.name not in first)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item):
    file = item.path.stem
    given = item.callspec.params if hasattr(item, "callspec") else {}
    if file == "test_figures_tiny" and "number" in given:
        return f"figure-{given['number']}"
    if file == "test_verdicts" and "name" in given:
        from lazyrich.verify import claims

        evidence = claims()[given["name"]].evidence
        return evidence[0].where.rpartition(":")[0] if evidence else file
    return file


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
