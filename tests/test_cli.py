"""The command line: what it prints, what it writes, how it fails, and what it doesn't load."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import sympy

from lazyrich import cli, paper_figures, simulate, theory, verify
from lazyrich.paper_figures.checks import Check
from lazyrich.paper_figures.report import Result
from lazyrich.support import progress as cli_progress
from lazyrich.theory.symbols import SymmetricMatrixSymbol
from tests.disk import files_of_at_most

SMALL = "simulate --D 4 --P 12 --width 8 --epsilon 0.5 --steps 50 --learning-rate 0.2 --n-test 9"


@pytest.fixture
def run(capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def call(arguments):
        try:
            cli.main(shlex.split(arguments))
            code = 0
        except SystemExit as stop:
            code = stop.code
        return (code, *capsys.readouterr())

    return call


def ok(result):
    """The stdout of a call that succeeded without a word on stderr."""
    code, out, err = result
    assert (code, err) == (0, "")
    return out


def start(*arguments, code="from lazyrich.cli import main; main()", **options):
    """The command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, **options
    )


BAD_USAGE = {
    "drive": ("drive", "derive"),
    "--bogus": ("--bogus",),
    "derive test-los": ("test-los", "'test-loss'"),
    "derive test-loss extra": ("extra",),
    "derive --steps": ("NAME", "test-loss"),
    "derive test-loss --format xml": ("--format", "xml", "json"),
    "derive test-loss --setps": ("--setps", "'--steps'"),
    "derive test-loss --at": ("--at",),
    "derive test-loss --at alpha": ("--at alpha", "NAME=VALUE"),
    "derive test-loss --at alpha=": ("--at alpha=", "NAME=VALUE"),
    "derive test-loss --at alpha=one": ("--at alpha=one", "1/4"),
    "derive test-loss --at alpha=1/0": ("--at alpha=1/0", "1/4"),
    "derive test-loss --at alpha=nan": ("--at alpha=nan", "number"),
    "derive test-loss --at beta=[1,": ("--at beta=[1,", "vector"),
    f"derive test-loss --at D={'9' * 5000}": ("--at D=999", "1/4"),
    f"derive test-loss --at beta={'[' * 100_000}": ("--at beta=[[", "vector"),
    "derive test-loss --at alpah=1": ("alpah", "'alpha'"),
    "derive test-loss --at alpha=1 --at alpha=2": ("alpha=2", "twice"),
    "derive test-loss --at D=3 --at beta=[1,2]": ("beta has shape (2,)", "3"),
    "derive test-loss --at M=[[1,1],[0,1]]": ("M has 0 at (2, 1)", "must be symmetric"),
    "derive test-loss --at D=2.5": ("D = 2.5", "a positive whole number"),
    "simulate --D 0": ("D = 0", "positive integer"),
    "simulate --P -3": ("P = -3", "positive integer"),
    "simulate --P 1.5": ("--P", "1.5", "integer"),
    "simulate --width 0": ("width = 0", "positive integer"),
    "simulate --P 1000000000000": ("P = 1000000000000", "GiB of memory: there are"),
    "simulate --D 9999999": ("D = 9999999: the second moments", "GiB of memory: there are"),
    "predict --D 9999999 --P 9 --alpha 1 --epsilon 1": ("D = 9999999", "GiB of memory: there"),
    f"simulate --steps 1{'0' * 30}": ("steps = 1000", "below 2^63"),
    f"simulate --seed 1{'0' * 30}": ("seed = 1000", "below 2^63"),
    "simulate --alpha 1e400": ("alpha = inf", "finite"),
    "simulate --width wide": ("--width wide", "positive integer or inf"),
    "simulate --steps 0": ("steps = 0", "positive integer"),
    "simulate --alpha 0": ("alpha = 0", "other than 0"),
    "simulate --epsilon nan": ("epsilon = nan", "finite"),
    "simulate --learning-rate inf": ("learning_rate = inf", "finite"),
    "simulate --engine momments": ("engine = 'momments'", "'moments'"),
    "simulate --engine neurons --width inf": ("neurons", "finite width"),
    "simulate --plot curve.gif": ("--plot curve.gif", ".png, .pdf"),
    "simulate --out missing/run.nc": ("--out missing/run.nc", "missing does not exist"),
    "simulate --out /proc/run.nc": ("--out /proc/run.nc", "can't be written to"),
    f"{SMALL} --learning-rate 1e6 --engine moments": (
        "learning_rate = 1e+06",
        "diverged",
        "largest stable",
    ),
    "verify no-such-claim": ("no-such-claim",),
    "verify --examples 0": ("examples = 0", "positive integer"),
    "verify --seed -1": ("seed = -1", "at least 0"),
    "verify --errata table.txt": ("--errata table.txt", ".tex, .md"),
    "verify --list --report table.html": ("--list", "takes no --report"),
    "verify --report table.txt": ("--report table.txt", ".html, .md, .json"),
    "figures 99": ("NAME = '99'", "1"),
    "figures 1 --preset fast": ("--preset = 'fast'", "tiny, quick, paper"),
    "figures 1 --jobs 0": ("--jobs = 0", "positive integer"),
}


@pytest.mark.parametrize("arguments", BAD_USAGE, ids=lambda arguments: arguments[:60])
def test_bad_usage_is_one_line_and_exit_code_2(run, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(arguments)
    assert (code, out) == (2, "")
    assert err.startswith("lazyrich: ")
    assert err.count("\n") == 1
    for needle in BAD_USAGE[arguments]:
        assert needle in err
    assert list(tmp_path.iterdir()) == []


def test_without_arguments_it_helps(run):
    out = ok(run(""))
    assert all(f"\n  {name}" in out for name in cli.COMMANDS)
    assert ok(run("--version")).startswith("lazyrich, version ")


def test_the_help_of_diagnose_fits_80_columns_and_names_losses_and_labels(run):
    out = ok(run("diagnose --help"))
    assert max(map(len, out.splitlines())) <= 80
    for needle in ("cross_entropy", "class numbers", "one-hot", "MODULE:FUNCTION", "Exit codes"):
        assert needle in out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_examples_in_the_help_are_valid(run, name):
    """Every option that an example uses exists, and takes the value that it is given."""
    examples = re.findall(r"^ +lazyrich (.+)$", ok(run(f"{name} --help")), re.MULTILINE)
    assert examples
    command = cli.command.get_command(None, name)
    for example in examples:
        called, *arguments = shlex.split(example)
        assert called == name
        command.make_context(name, arguments)


@pytest.mark.parametrize("name", ["", *cli.COMMANDS])
def test_the_help_fits_a_terminal_of_80_columns(run, name):
    """Also its examples, which no terminal should break in two."""
    assert [line for line in ok(run(f"{name} --help")).splitlines() if len(line) > 80] == []


def test_the_examples_of_derive_run(run):
    for example in re.findall(r"^ +lazyrich (.+)$", ok(run("derive --help")), re.MULTILINE):
        assert ok(run(example)).strip()


def test_derive_lists_every_closed_form_in_its_group(run):
    listing = ok(run("derive"))
    positions = [listing.index(group) for group in theory.groups()]
    assert positions == sorted(positions)
    assert all(f"  {name} " in listing and line in listing for name, line in theory.names().items())
    assert json.loads(ok(run("derive --format json"))) == theory.groups()


def _general(expression):
    """In the script, which is plain SymPy, a symmetric matrix is a general one with a comment."""
    symmetric = expression.atoms(SymmetricMatrixSymbol)
    return expression.xreplace({matrix: sympy.MatrixSymbol(*matrix.args) for matrix in symmetric})


def _same(one, other):
    """Equal as they are, or once expanded: SymPy evaluates some of what it reads, as numbers."""
    if isinstance(one, tuple | sympy.Tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    one, other = map(_general, map(sympy.sympify, (one, other)))
    return one == other or one.doit().expand().doit() == other.doit().expand().doit()


@pytest.mark.parametrize("name", theory.names())
def test_python_output_gives_the_closed_form_back(run, name):
    scope = {}
    exec(ok(run(f"derive {name} --format python --steps")), scope)
    closed_form = theory.closed_form(name)
    assert _same(scope["expr"], closed_form.expr)
    assert scope["terms"].keys() == closed_form.terms.keys()
    assert all(_same(scope["terms"][key], term) for key, term in closed_form.terms.items())
    assert len(scope["steps"]) == len(closed_form.steps)
    for (sentence, read), (meant_sentence, meant) in zip(
        scope["steps"], closed_form.steps, strict=True
    ):
        assert sentence == meant_sentence
        assert _same(read, meant)


@pytest.mark.parametrize("name", theory.names())
def test_every_format_prints_every_closed_form(run, name):
    document = json.loads(ok(run(f"derive {name} --format json --steps")))
    closed_form = theory.closed_form(name)
    latex = closed_form.latex()
    assert document["latex"] == latex
    assert document["terms"].keys() == closed_form.terms.keys()
    sentences = [sentence for sentence, _ in closed_form.steps]
    assert [step["sentence"] for step in document["steps"]] == sentences
    assert latex in ok(run(f"derive {name} --format latex"))
    pretty = ok(run(f"derive {name} --steps"))
    assert closed_form.source in pretty
    assert all(sentence in pretty for sentence in sentences)


POINT = "--at D=2 --at alpha=1 --at beta=[2,0] --at wbar=[1/2,0] --at M=[[1,0],[0,1/3]]"


def test_values_are_exact_for_exact_input_and_floats_for_floats(run):
    exact = json.loads(ok(run(f"derive test-loss {POINT} --at epsilon=1/4 --format json")))
    rounded = json.loads(ok(run(f"derive test-loss {POINT} --at epsilon=0.25 --format json")))
    closed_form = theory.closed_form("test-loss")
    half, third, quarter = (sympy.Rational(1, n) for n in (2, 3, 4))
    value = closed_form.evaluate(
        D=2, alpha=1, epsilon=quarter, beta=[2, 0], wbar=[half, 0], M=[[1, 0], [0, third]]
    )
    assert sympy.Rational(exact["expr"]) == value
    assert sum(map(sympy.Rational, exact["terms"].values())) == value
    assert isinstance(rounded["expr"], float)
    assert rounded["expr"] == pytest.approx(float(value), rel=1e-14)


def test_derive_never_loads_torch_nor_numpy_and_a_forecast_of_your_own_loads_numpy_alone():
    own = ["predict", "--D", "4", "--P", "9", "--activation", "h + h^2", "--quiet"]
    code = (
        "import sys; from lazyrich.cli import main; main(['derive', 'test-loss', '--steps']); "
        "assert not {'torch', 'numpy', 'rich'} & set(sys.modules); "
        f"main({own}); sys.exit(bool({{'torch', 'scipy', 'rich'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_simulate_takes_the_engine_that_can_train_the_network(run):
    options = "simulate --D 3 --P 8 --width 4 --steps 2 --learning-rate 0.01"
    for given in ('--activation "h + 0.1 h^3"', "--readouts trained"):
        code, _, said = run(f"{options} {given}")
        assert code == 0
        assert said.startswith("engine: neurons, ")
        assert said.count("\n") == 1
    ok(run(f'{options} --activation "h + c h^2" --constant c=0.1'))


def test_simulate_prints_the_losses_that_it_writes(run, tmp_path):
    out, plot = tmp_path / "run.nc", tmp_path / "run.png"
    printed = ok(run(f"{SMALL} --seed 3 --out {out} --plot {plot}"))
    history = simulate.load(out).history
    task = simulate.PolynomialTask(D=4, P=12, n_test=9, seed=3)
    again = simulate.train(
        task,
        alpha=1.0,
        epsilon=0.5,
        width=8,
        steps=50,
        learning_rate=0.2,
        centred=True,
        seed=3,
        engine="flow",
        record=history.step.values.tolist(),
    )
    assert history.train_loss.equals(again.history.train_loss)
    header, *rows = printed.splitlines()
    steps = [int(row.split()[0]) for row in rows if row.split()[0].isdigit()]
    assert steps == [0, 1, 10, 50]
    for step, row in zip(steps, rows, strict=False):
        for name, value in zip(header.split()[1:], row.split()[1:], strict=True):
            assert float(value) == pytest.approx(float(history[name].sel(step=step)), rel=1e-5)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert sorted(tmp_path.iterdir()) == [out, plot]


@pytest.mark.parametrize("engine", ["flow", "moments", "neurons", "linearised"])
def test_simulate_runs_every_engine(run, engine):
    assert "time to grok" in ok(run(f"{SMALL} --steps 200 --engine {engine}"))


@pytest.mark.parametrize("task", [{}, {"indices": 2}, {"target_degree": 3}])
@pytest.mark.parametrize("network", [{}, {"readouts": "gaussian"}, {"activation_degree": 3}])
@pytest.mark.parametrize("engine", ["flow", "moments", "neurons", "linearised"])
def test_simulate_takes_every_target_and_network(run, tmp_path, engine, network, task):
    """Or says in a line that the engine does not, and what does."""
    file, given = tmp_path / "run.nc", {**task, **network}
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in given.items())
    small = SMALL.replace("0.2", "0.01")
    result = run(f"{small} --engine {engine} {options} --out {file} --plot {tmp_path / 'a.png'}")
    if network and engine != "neurons":
        assert result[:2] == (2, "")
        assert result[2].count("\n") == 1
        assert "use engine = 'neurons'" in result[2]
        return
    header, *_ = ok(result).splitlines()
    history = simulate.load(file).history
    described = simulate.PolynomialTask(4, 12, n_test=9, seed=0, **task).describe()
    assert simulate.load(file).config["task"] == described
    terms = header.split()[4:]
    assert float(sum(history[name] for name in terms)[-1]) == pytest.approx(
        float(history.population_loss[-1]), rel=1e-12
    )


def test_simulate_refuses_what_no_task_or_network_is(run):
    for wrong in (
        "--indices 0",
        "--target-degree 0",
        "--target-degree 99",
        "--activation-degree -1 --engine neurons",
    ):
        code, out, err = run(f"{SMALL} {wrong}")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "must be " in err
    code, _, err = run(f"{SMALL} --engine neurons --readouts gausian")
    assert (code, "did you mean 'gaussian'?" in err) == (2, True)


def test_a_warning_is_one_line(run):
    code, out, err = run(f"{SMALL} --descent-tolerance 1e-9")
    assert code == 0
    assert out
    assert err.startswith("lazyrich: warning: gradient descent differs from its flow")
    assert err.count("\n") == 1


def test_simulate_says_so_when_nothing_is_learnt_in_time(run):
    out = ok(run(f"{SMALL} --width inf --steps 1"))
    assert re.search(r"train loss below 0.\d+ for good: not within 1 steps", out)
    assert re.search(r"time to grok .*: none in this run", out)


def _full_disk(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (f"{SMALL} --out run.nc --plot run.pdf", "time to grok"),
        ("verify eq-16 --examples 1 --report r.html", "eq-16"),
        ("verify --problem own.toml --report r.html", "27 of 27 checks passed"),
        ("check test-loss.linear 'alpha^2/D |wbar|^2' --report r.md", "test-loss.linear"),
    ],
)
def test_a_failed_write_leaves_no_file_and_the_answer_is_printed(
    command, answer, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text('activation = "h + h^2"\ntarget = "beta.x"\nD = 2\n')
    _full_disk(monkeypatch)
    code, out, err = run(command)
    assert (code, err.count("\n")) == (2, 1)
    assert "No space left" in err
    assert answer in out
    assert "wrote" not in out
    assert [file.name for file in tmp_path.iterdir()] == ["own.toml"]


def test_verify_prints_and_writes_what_the_ledger_has_on_a_claim(run, tmp_path):
    file, note = tmp_path / "report.json", tmp_path / "errata.tex"
    options = f"--examples 2 --seed 1 --report {file} --errata {note}"
    printed = ok(run(f"verify eq-16 {options}"))
    claim = verify.claims()["eq-16"]
    assert claim.verdict == verify.Verdict.MISPRINT
    for text in (claim.place, "printed: ", "right: ", "counter-example: "):
        assert text in printed
    report = json.loads(file.read_text())
    assert (report["examples"], report["seed"], report["failed"]) == (2, 1, [])
    assert [entry["name"] for entry in report["claims"]] == ["eq-16"]
    assert "eq. (16)" in note.read_text()


def test_a_claim_that_fails_gives_exit_code_1(run, monkeypatch):
    for failed, expected in (([], 0), (["equation-6"], 1)):
        report = SimpleNamespace(failed=failed, rows=[])
        monkeypatch.setattr(verify, "run", lambda *_, report=report, **__: report)
        code, _, err = run("verify")
        assert (code, err) == (expected, "")


def test_a_figure_whose_check_fails_gives_exit_code_1(run, monkeypatch):
    for holds in (True, False):
        check = Check("delay", "it groks", "1", "above 2", holds=holds)
        result = Result("1", "Title", "quick", "", {}, (check,), 0.0, ())
        monkeypatch.setattr(paper_figures, "make_each", lambda *_, made=result, **__: iter([made]))
        code, out, err = run("figures 1")
        assert (code, err) == (0 if holds else 1, "")
        assert "it groks" in out
        assert ("changed: does not hold now" in out) is not holds


def test_ctrl_c_is_one_line_and_exit_code_130(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "train", interrupted)
    code, out, err = run(SMALL)
    # The line break before it ends the terminal's own ^C.
    assert (code, out, err.lstrip("\n")) == (130, "", "lazyrich: interrupted\n")


def test_a_full_disk_is_one_line_and_exit_code_2(run, tmp_path, monkeypatch):
    """Here for the dataset of all cells, which is larger than any cell."""
    (tmp_path / "grid.toml").write_text(
        f"[grid]\nseed = {list(range(6))}\n[fixed]\nD = 4\nP = 9\nwidth = 5\nsteps = 300\n"
        "epsilon = 0.5\nlearning_rate = 0.01\nalpha = 1.0\n"
    )
    monkeypatch.chdir(tmp_path)
    with files_of_at_most(60_000):
        failed = run("sweep grid.toml --jobs 1 --out all.nc --quiet")
    said = "6 cells (6 seed) in grid; all finished\n"
    assert failed == (2, said, "lazyrich: all.nc: can't be written: File too large\n")
    assert len(list(tmp_path.rglob("*.nc"))) == 6  # the cells
    assert not list(tmp_path.rglob(".part*"))


def test_a_reader_that_leaves_early_sees_no_traceback():
    code = "from lazyrich.cli import main; main(['derive', 'test-loss', '--steps'])"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | true"
    assert subprocess.run(command, shell=True, capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_the_progress_bar_is_for_terminals_and_not_for_quiet(run, monkeypatch, quiet, terminal):
    monkeypatch.setattr(cli_progress, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    code, _, err = run(SMALL + (" --quiet" if quiet else ""))
    assert code == 0
    assert ("training" in err) is (terminal and not quiet)


def test_a_process_exits_with_the_code():
    assert start("--version").returncode == 0
    failed = start("derive", "nothing")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("key", ["folder", "jobs", "progress", "scheduler", "grid", "alhpa"])
@pytest.mark.parametrize("table", ["grid", "fixed"])
def test_a_key_of_a_sweeps_file_that_is_no_setting_is_one_line(run, tmp_path, table, key):
    file = tmp_path / "s.toml"
    tables = {"grid": "seed = [0, 1]\n", "fixed": "D = 5\n"}
    tables[table] += f"{key} = [1]\n"
    file.write_text("".join(f"[{name}]\n{text}" for name, text in tables.items()))
    code, out, err = run(f"sweep {file}")
    assert (code, out) == (2, "")
    assert f"[{table}] key = {key!r}: " in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_of_a_sweep_that_nests_too_deep_is_one_line(run, tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(f"[grid]\nalpha = {'[' * 3000}{']' * 3000}\n")
    code, out, err = run(f"sweep {file}")
    assert (code, out) == (2, "")
    assert f"FILE.toml = {file}: must be nested less deep" in err
    assert err.count("\n") == 1


def test_a_dataset_of_a_sweep_that_was_changed_is_refused(run, tmp_path):
    """The file has a checksum; one that xarray has written has none, and is taken as it is."""
    (tmp_path / "s.toml").write_text(
        "[grid]\nseed = [0]\n[fixed]\nD = 3\nP = 6\nwidth = 2\nsteps = 3\nepsilon = 0.5\n"
        "learning_rate = 0.01\nalpha = 1.0\n"
    )
    file = tmp_path / "all.nc"
    command = f"sweep {tmp_path / 's.toml'} --jobs 1 --folder {tmp_path / 'cells'} --out {file}"
    assert run(command)[0] == 0
    whole, found = file.read_bytes(), simulate.load(file)
    for place in range(0, len(whole) - 65, 1000):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"all\.nc: "):
            simulate.load(file)
    found.to_netcdf(file, engine="h5netcdf")
    assert simulate.load(file).identical(found)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file of Linux")
def test_a_file_of_a_sweep_that_cant_be_read_is_named(run):
    """Its error names no file, as one of a standard output that is full."""
    code, out, err = run("sweep /proc/self/mem")
    assert (code, out) == (2, "")
    assert err.startswith("lazyrich: FILE.toml = /proc/self/mem: can't be read: ")
    assert err.count("\n") == 1


def test_a_formula_that_starts_with_a_minus_is_told_how_to_be_written(run):
    code, _, said = run("check ntk-rank.init -2D")
    assert (code, "Put -- before a value that starts with a minus sign" in said) == (2, True)
    code, found, _ = run("check ntk-rank.init -- -2D")
    assert (code, "not equal" in found) == (1, True)
