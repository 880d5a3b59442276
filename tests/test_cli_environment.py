"""The command line in odd environments: signals, terminals, closed streams, paths, no home."""

import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import lazyrich
from lazyrich import cli, theory
from lazyrich.support import interruption
from lazyrich.support.files import write_whole
from lazyrich.theory.closed_form import pretty

PACKAGE = str(Path(lazyrich.__file__).parents[1])
STARTED: list[subprocess.Popen] = []
LONG = ("simulate", "--engine", "moments", "--steps", "3000000")
SMALL = "simulate --D 4 --P 12 --width 8 --epsilon 0.5 --steps 20"


def process(*arguments, environment=None, run=("-m", "lazyrich"), **options):
    """The command as a process of its own; its environment, or changes to this one (None: out)."""
    whole = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONSAFEPATH": "1"} | (environment or {})
    whole = {name: value for name, value in whole.items() if value is not None}
    started = subprocess.Popen(
        [sys.executable, *run, *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        env=whole,
    )
    STARTED.append(started)
    return started


@pytest.fixture(autouse=True)
def no_process_outlives_its_test():
    """One that a failed test leaves behind would slow down all that follow."""
    yield
    while STARTED:
        STARTED.pop().kill()


def finished(*arguments, **options):
    """Exit code, stdout and stderr of such a process."""
    started = process(*arguments, **options)
    out, err = started.communicate(timeout=120)
    return started.returncode, out, err


# Both are at work after the seconds: one trains in torch, the other derives in SymPy (and starts
# in a tenth of the time).
TRAINS = (*LONG, 3)
DERIVES = ("derive", "--expect", "(x'A x)^20", 1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "line", "work"),
    [
        ("SIGTERM", 143, "lazyrich: ended by SIGTERM\n", TRAINS),
        ("SIGHUP", 129, "lazyrich: ended by SIGHUP\n", DERIVES),
        ("SIGINT", 130, "lazyrich: interrupted\n", DERIVES),
    ],
)
def test_a_signal_ends_a_command_with_one_line_and_its_code(name, code, line, work):
    *command, seconds = work
    started = process(*command)
    time.sleep(seconds)
    started.send_signal(getattr(signal, name))
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err.lstrip("\n")) == (code, "", line)


ENDS = """
import atexit, sys
from lazyrich import cli, __main__
class Slow:
    def __del__(self):
        print("taken down")
class Loaded: pass
sys.modules["loaded"] = Loaded()
sys.modules["loaded"].slow = Slow()
atexit.register(lambda: print("cleaned up"))
def ended(*_, **__):
    print("answer")
    sys.exit(int(sys.argv[1]))
cli.command.main = ended
__main__.main()
"""


@pytest.mark.parametrize("code", [0, 1, 130, 143])
def test_a_command_that_was_interrupted_cleans_up_but_takes_no_module_down(code):
    """Torch and SymPy take Python a second or more."""
    started = process(str(code), run=("-c", ENDS))
    out, err = started.communicate(timeout=60)
    rest = "" if code > 1 else "taken down\n"
    assert (started.returncode, out, err) == (code, f"answer\ncleaned up\n{rest}", "")


def test_a_signal_that_the_parent_ignores_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruption.signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# It says when it begins to load the command line.
STARTS = """
import sys
from lazyrich.__main__ import main
class Announce:
    def find_spec(self, name, *_):
        if name == "lazyrich.cli":
            print(flush=True)
sys.meta_path.insert(0, Announce())
main()
"""


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.2, 0.8])
def test_an_early_ctrl_c_gives_no_traceback(delay):
    """From when Python has started on, also while modules are loading."""
    started = process(*LONG, run=("-c", STARTS))
    assert started.stdout.readline() == "\n"
    time.sleep(delay)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err.lstrip("\n")) == (130, "", "lazyrich: interrupted\n")


SWALLOWS = """
import time
try:
    time.sleep(0.4)
except BaseException:
    print("swallowed", flush=True)
time.sleep(0.2)
print("loaded", flush=True)
"""


@pytest.mark.parametrize(("compiled", "presses"), [(False, 1), (True, 1), (True, 2)])
def test_a_signal_is_not_lost_while_a_module_loads(
    compiled, presses, tmp_path, capsys, monkeypatch
):
    """Torch's modules swallow an exception that is raised as they load: it waits, or comes again.

    Where compiled code imports, it waits; a second signal isn't patient.
    """
    name = f"swallows_{presses}_{compiled}"
    (tmp_path / f"{name}.py").write_text(SWALLOWS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)  # as from a terminal
    for seconds in (0.1, 0.2)[:presses]:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with interruption.signals():
            if compiled:
                next(map(__import__, [name]))  # called by compiled code
            else:
                importlib.import_module(name)
            time.sleep(0.3)
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
    printed = capsys.readouterr().out
    if presses == 2 and compiled:  # the second one was swallowed
        assert (interrupted, printed) == (False, "swallowed\nloaded\n")
    else:
        assert (interrupted, printed) == (True, "loaded\n" if compiled else "swallowed\n")


def test_a_signal_ends_the_loading_of_modules_of_python_at_once(tmp_path, monkeypatch):
    (tmp_path / "sleeps_long.py").write_text("import time; time.sleep(5)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interruption.signals():
        exec("import sleeps_long")
    assert time.monotonic() - begin < 4


def test_an_interruption_that_was_heard_does_not_come_again(tmp_path, monkeypatch):
    """The clean-up takes its time, and what was finished is printed."""
    (tmp_path / "sleeps_again.py").write_text("import time; time.sleep(5)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    stop = interruption.Interruption()
    with interruption.signals():
        with stop.during("a module"):
            try:
                importlib.import_module("sleeps_again")
            finally:
                time.sleep(0.3)
        time.sleep(0.3)
    assert stop.missing == ["a module"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_terminals_without_utf8_get_ascii(encoding):
    code, out, err = finished(
        "derive", "test-loss-minimiser", environment={"PYTHONIOENCODING": encoding}
    )
    assert (code, err) == (0, "")
    assert out.isascii() is (encoding != "utf-8")
    assert ("1/alpha" in out or "alpha*epsilon" in out) is (encoding != "utf-8")


@pytest.mark.parametrize("name", theory.names())
def test_every_closed_form_can_be_printed_in_ascii(name):
    form = theory.closed_form(name)
    for expression in (form.expr, *form.terms.values()):
        assert pretty(expression, unicode=False).isascii()
    assert not pretty(theory.closed_form("test-loss").expr).isascii()  # and Unicode comes back


# The command line, which draws without starting torch.
DRAWS = """
from lazyrich import cli
def draws(*_, **__):
    from matplotlib.figure import Figure
    from lazyrich.plotting import rendered
    open("a.png", "wb").write(*rendered(Figure(), ["png"]).values())
    print("wrote a.png")
cli.command.main = draws
cli.main()
"""


@pytest.mark.parametrize(
    ("run", "changes"),
    [
        (
            ("-m", "lazyrich", *SMALL.split(), "--plot", "a.png"),
            {"HOME": None, "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None}
            | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        ),
        (
            ("-c", DRAWS),
            {"HOME": "/nowhere/at/all", "MPLBACKEND": "no-such-backend"}
            | {"TERM": "dumb", "COLUMNS": "1"},
        ),
    ],
    ids=["no home, a notebook's backend", "a home and a backend that do not exist"],
)
def test_without_home_and_with_a_notebooks_backend_it_draws(tmp_path, run, changes):
    code, out, err = finished(run=run, cwd=tmp_path, environment=changes)
    assert (code, "wrote a.png" in out, "Traceback" in err) == (0, True, False), err
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_streams_that_are_closed_or_full_give_no_traceback():
    with open("/dev/full", "w") as full:
        code, _, err = finished("derive", stdout=full)
    assert code == 2
    assert err == "lazyrich: standard output: can't be written: No space left on device\n"
    command = f"{sys.executable} -m lazyrich derive"
    line = "lazyrich: standard output: is closed\n"
    for closed, right in ((">&-", (2, line)), ("2>&-", (0, "")), (">&- 2>&-", (2, ""))):
        done = subprocess.run(
            f"{command} {closed}",
            shell=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": PACKAGE, "PYTHONSAFEPATH": "1"},
        )
        assert (done.returncode, done.stderr) == right


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch, capsys):
    """In this process: what ``~`` means is read from the environment when a path is."""
    np.savez(tmp_path / "set.npz", X=np.eye(4), beta=np.ones(4))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    predict = ("predict", "--alpha", "1", "--epsilon", "0.1", "--data")
    cli.main([*predict, "~/set.npz"])
    out, err = capsys.readouterr()
    assert ("your data set" in out, err) == (True, "")
    with pytest.raises(SystemExit, match="2"):
        cli.main([*predict, "~no-such-user/set.npz"])
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), "no such home folder" in err) == ("", 1, True)
    cli.main([*SMALL.split(), "--out", "~/run.nc"])
    assert (tmp_path / "run.nc").is_file()


def test_a_device_or_a_folder_is_never_replaced_by_a_file(tmp_path):
    """Also by root, who may rename a file over a device."""
    device = tmp_path / "device"
    os.mkfifo(device)
    for wrong in (device, tmp_path):
        with pytest.raises(OSError, match=f"{wrong}: can't be written: .*(regular file|folder)"):
            write_whole(wrong, lambda part: part.write_text("text"))
    assert device.is_fifo()
    assert list(tmp_path.iterdir()) == [device]
    code, out, err = finished("simulate", "--out", "/dev/full.nc/../full")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_link_is_kept_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "data").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("data/file.txt")
    write_whole(link, lambda part: part.write_text("text"))
    assert link.is_symlink()
    assert (tmp_path / "data" / "file.txt").read_text() == "text"


def test_a_program_that_calls_the_command_line_keeps_its_log_and_its_warnings():
    log = logging.getLogger("lazyrich")
    level, show = log.level, warnings.showwarning
    cli.main(["derive", "network-function"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["derive", "no-function"])
    assert (log.level, warnings.showwarning) == (level, show)


def test_a_fault_of_lazyrich_is_one_line(monkeypatch, capsys):
    """And a traceback for whoever asks for it."""

    def fails(*_, **__):
        raise KeyError("a fault")

    monkeypatch.setattr(theory, "closed_form", fails)
    with pytest.raises(SystemExit, match="70"):
        cli.main(["derive", "test-loss"])
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "KeyError: 'a fault'" in err
    monkeypatch.setenv("LAZYRICH_TRACEBACK", "1")
    with pytest.raises(KeyError):
        cli.main(["derive", "test-loss"])


@pytest.mark.slow
def test_a_signal_to_a_sweep_leaves_no_worker_behind(tmp_path):
    """SIGINT, and SIGKILL, after which the command itself can do nothing: tests/test_sweep.py."""
    psutil = pytest.importorskip("psutil")
    (tmp_path / "grid.toml").write_text(
        f"[grid]\nseed = {list(range(40))}\n[fixed]\nD = 40\nP = 200\nsteps = 3000000\n"
        "alpha = 1.0\nepsilon = 0.5\nwidth = 100\nengine = 'moments'\n"
    )
    started = process("sweep", "grid.toml", "--jobs", "2", cwd=tmp_path, start_new_session=True)
    driver, deadline = psutil.Process(started.pid), time.monotonic() + 90
    while len(workers := driver.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(workers) >= 2
    time.sleep(1)
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate(timeout=60)
    assert (started.returncode, err.count("lazyrich: ")) == (128 + signal.SIGTERM, 1)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
    assert not list(tmp_path.rglob(".part*"))
