"""The explorer without a browser: its numbers are those of simulate, and any input gets a line."""

import gc
import http.client
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("latex2mathml")

from lazyrich import simulate, theory
from lazyrich.explore.answer import KEPT, Answers, answer
from lazyrich.explore.server import LONGEST_REQUEST, MOST_PAGES, Jobs, Server
from lazyrich.explore.settings import FIELDS, Field, checked, defaults, description, presets
from lazyrich.explore.watch import Cancelled, OutOfTime, Watch
from lazyrich.explore.words import WORDS

# Small enough for a second or so.
SMALL = {"D": 8, "P": 40, "width": 10, "steps": 500}


def last_state(model, changes, longest=60.0):
    """What the page shows in the end, and all frames."""
    frames = list(answer({"model": model, "settings": changes}, Watch(longest)))
    state = {}
    for frame in frames:
        json.dumps(frame, allow_nan=False)
        state |= frame
    return state, frames


def drawn(state, name):
    """Steps and values of a line of the loss chart."""
    line = next(each for each in state["charts"]["loss"]["lines"] if each["name"] == name)
    return np.array(line["x"], dtype=float), np.array(line["y"], dtype=float)


def fact(state, name):
    return next(each["value"] for each in state["facts"] if each["name"] == name)


def trained(given, **more):
    """The same network, from the definition of the settings."""
    task = simulate.PolynomialTask(given["D"], given["P"], 1, given["seed"], noise=given["noise"])
    names = ("alpha", "epsilon", "width", "learning_rate", "steps", "centred", "seed")
    options = {name: given[name] for name in names} | {"alignment": None} | more
    return simulate.train(task, **options).history


@pytest.mark.parametrize("name", [name for name, p in presets().items() if p.model == "two-layer"])
def test_a_preset_shows_the_network_that_simulate_trains(name):
    given = presets()[name].settings
    if name != "start":
        given = given | {"steps": 1000}  # of the same network: a hundredth of the time
    state, frames = last_state("two-layer", given)
    assert state["stage"] == "complete"
    assert state["error"] is None
    assert any("refining" in frame.get("stage", "") for frame in frames)
    network, twin = trained(given).isel(step=slice(1, None)), trained(given, engine="linearised")
    for line in ("train_loss", "population_loss"):
        assert np.array_equal(drawn(state, line)[1], network[line].values)
        assert np.array_equal(drawn(state, f"twin_{line}")[1], twin[line].values[1:])
    levels = {level["name"]: level["at"] for level in state["charts"]["loss"]["levels"]}
    assert levels["floor"] == float(network.kernel_regression_population_loss)
    assert levels["fallen"] == pytest.approx(2 / 15 * 0.75)
    assert fact(state, "population_loss") == f"{float(network.population_loss[-1]):.4g}"
    terms = {each["name"]: each["y"][-1] for each in state["charts"]["terms"]["lines"]}
    parts = [terms[part] for part in ("variance", "misalignment", "linear")]
    assert sum(parts) == pytest.approx(terms["sum"], rel=1e-12)


@pytest.mark.parametrize("name", ["late-bias", "early-bias"])
def test_a_preset_shows_the_diagonal_net_that_simulate_trains(name):
    given = presets()[name].settings
    state, _ = last_state("diagonal", given)
    make = {
        "sparse": simulate.sparse_classification,
        "margin": simulate.large_margin_classification,
    }[given["data"]]
    task = make(d=given["d"], n=given["n"], seed=given["seed"])
    net = simulate.DiagonalNet(given["depth"], "logistic", start=1 / math.sqrt(2 * given["d"]))
    end = 2.5 * math.log(given["alpha"]) / given["weight_decay"]
    run = net.train(task, alpha=given["alpha"], weight_decay=given["weight_decay"], time=end)
    found = drawn(state, "test_accuracy")[1]
    assert np.array_equal(found, run.history.test_accuracy.values[1:])
    early, late = float(fact(state, "early")), float(fact(state, "late"))
    assert late > early + 0.2 if name == "late-bias" else late < early - 0.05


def test_presets_have_the_numbers_of_the_figures():
    """Read off the paper's settings, not off the code of the figures."""
    first = presets()["figure-1"].settings
    assert (first["D"], first["P"], first["width"], first["epsilon"]) == (100, 550, 500, 0.02)
    narrow = presets()["figure-4-narrow"].settings
    assert (narrow["D"], narrow["P"], narrow["width"], narrow["centred"]) == (40, 120, 2, False)
    assert [presets()[f"figure-9-{n}"].settings["P"] for n in ("few", "some", "many")] == [
        50,
        120,
        500,
    ]
    assert presets()["figure-3-lazy"].settings["P"] == 450


def test_a_move_derives_no_formula_again(monkeypatch):
    """What is derived and typeset depends on the activation alone: a move puts in numbers."""
    first, _ = last_state("two-layer", SMALL)
    derived = []
    derive = theory.Problem._derive
    monkeypatch.setattr(
        theory.Problem, "_derive", lambda self, name: (derived.append(name), derive(self, name))[1]
    )
    moved, _ = last_state("two-layer", SMALL | {"D": 9, "epsilon": 0.3})
    assert derived == []
    for old, new in zip(first["formulas"], moved["formulas"], strict=True):
        for before, after in zip(old["rows"], new["rows"], strict=True):
            assert before["symbols"] == after["symbols"]
    values = [[row["value"] for row in form["rows"]] for form in moved["formulas"]]
    assert values != [[row["value"] for row in form["rows"]] for form in first["formulas"]]
    last_state("two-layer", SMALL | {"activation": "h + 0.123 h^2"})
    assert derived == ["ntk-eigenvalues"]  # the control: another activation is derived


COPIES = [
    {},
    {"width": "inf", "noise": 0.3, "seed": 7},
    {"centred": False, "alpha": 0.5},
    {"activation": "h + 0.2 h^2", "learning_rate": 0.5},
    {"activation": "h + epsilon h^3", "epsilon": 0.1, "steps": 150},
    {"activation": "erf(h)", "steps": 150, "centred": False},
]


@pytest.mark.parametrize("changes", COPIES, ids=str)
def test_copied_texts_reproduce_the_curves_exactly(changes, tmp_path, monkeypatch):
    """At every stage, the Python text; at the end, the command too."""
    _, frames = last_state("two-layer", SMALL | changes)
    frames = [frame for frame in frames if frame.get("python")]
    assert len(frames) >= 2
    monkeypatch.setattr("builtins.print", lambda *_: None)
    for frame in frames:
        names: dict = {}
        exec(frame["python"], names)
        for prefix in ("", "twin_") if "twin" in names else ("",):
            history = names["twin" if prefix else "run"].history
            steps, values = drawn(frame, f"{prefix}population_loss")
            expected = history.population_loss.sel(step=steps.astype(int)).values
            assert np.array_equal(values, expected), prefix
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    words = [*shlex.split(frames[-1]["command"])[1:], "--quiet", "--out", "run.nc"]
    from lazyrich.cli import command

    command.main(words, standalone_mode=False)
    history = simulate.load(tmp_path / "run.nc").history
    for name in ("train_loss", "population_loss"):
        steps, values = drawn(frames[-1], name)
        assert np.array_equal(values, history[name].sel(step=steps.astype(int)).values)


def test_copied_python_trains_the_diagonal_net_that_is_drawn(capsys):
    state, _ = last_state("diagonal", {"d": 100, "n": 10})
    names: dict = {}
    exec(state["python"], names)
    assert "test_accuracy" in capsys.readouterr().out
    _, values = drawn(state, "test_accuracy")
    assert np.array_equal(values, names["run"].history.test_accuracy.values[1:])


def _values(field: Field):
    """Where a slider can be; with the numbers that one can type, within the bounds and beyond."""
    if field.kind == "switch":
        return st.booleans()
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    if field.kind == "text":
        texts = ["h + epsilon/2*h**2", "h", "h + 0.1 h^3", "erf(h)", "2 relu(h)", "h^2", "0", "-h"]
        return st.sampled_from(texts) | st.text(max_size=8)
    inside = st.floats(field.low, field.high, allow_nan=False)
    if field.log:
        logs = st.floats(math.log(field.low), math.log(field.high))
        inside = logs.map(lambda v: min(field.high, max(field.low, math.exp(v))))
    if field.kind == "integer":
        inside = inside.map(round)
    ends = [field.low, field.high, *(["inf"] if field.infinite else [])]
    beyond = st.sampled_from(["", "nan", "1e999", "-1", "0", "1e-300", "x", "１", None, [], 1e30])
    return st.one_of(inside, inside, inside, st.sampled_from(ends), beyond)


def positions(model):
    return st.fixed_dictionaries({field.name: _values(field) for field in FIELDS[model]})


@pytest.mark.parametrize("model", list(FIELDS))
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_position_of_the_sliders_is_answered(model, data):
    """Whole, stopped with a line, or refused with a line; and never with a fault of lazyrich."""
    changes = data.draw(positions(model))
    began = time.process_time()
    state, frames = last_state(model, changes, longest=0.3)
    assert frames
    if state["error"]:
        assert "\n" not in state["error"]
        assert "a fault of lazyrich" not in state["error"]
    else:
        assert state["stage"] == "complete" or state["stage"].startswith("stopped")
    assert time.process_time() - began < 30


@given(changes=positions("two-layer").filter(lambda c: isinstance(c["seed"], int)))
@settings(max_examples=8, deadline=None)
def test_numbers_at_any_position_are_those_of_simulate(changes):
    changes |= SMALL | {"activation": "h + epsilon/2*h**2"}
    state, _ = last_state("two-layer", changes)
    if state["error"]:
        return
    history = trained(checked("two-layer", changes))
    for name in ("train_loss", "population_loss"):
        assert np.array_equal(drawn(state, name)[1], history[name].values[1:])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (None, "the request must be an object with model and settings"),
        ({"model": "two-layr"}, "model = 'two-layr': did you mean 'two-layer'?"),
        ({"model": "two-layer", "settings": [1]}, "settings = [1]: must be settings by name"),
        (
            {"model": "two-layer", "settings": {"D": 1e6}},
            "D = 1000000.0: must be a whole",
        ),
        (
            {"model": "two-layer", "settings": {"P": "many"}},
            "P = 'many': must be a whole number",
        ),
        ({"model": "two-layer", "settings": {"centred": "no"}}, "centred = 'no': must be true or"),
        (
            {"model": "diagonal", "settings": {"depth": 2.5}},
            "depth = 2.5: must be a whole",
        ),
    ],
)
def test_bad_requests_are_one_line(request_, message):
    (frame,) = answer(request_, Watch())
    assert frame["error"].startswith(message)


NUMBERS = [
    (model, field)
    for model, fields in FIELDS.items()
    for field in fields
    if field.kind in ("number", "integer")
]


@pytest.mark.parametrize(("model", "field"), NUMBERS, ids=lambda each: getattr(each, "name", each))
def test_every_refusal_of_a_number_names_the_bounds_that_hold(model, field):
    """What the message allows is allowed, and what is beyond it is refused with that message."""
    messages = set()
    for wrong in ("many", "", "nan", "-1", "1e9", None, True, field.low - 1, field.high + 0.5):
        with pytest.raises(ValueError, match=f"^{field.name} = ") as refused:
            field.read(wrong)
        messages.add(str(refused.value).split(": must be ")[1])
    (text,) = messages
    ends = re.search(r"from (\S+) to ([\d,.]+)", text)
    assert ends
    for end in ends.groups():
        assert checked(model, {field.name: end.strip(",").replace(",", "")})
    assert ("whole" in text) == (field.kind == "integer")
    assert ("inf" in text) == field.infinite


@pytest.mark.parametrize(
    "text",
    [
        "h +",
        "h + c h^3",
        "h^99",
        "__import__('os').system('true')",
        "sin(h)",
        "9^9^9^9",
        "h" * 201,
        "(" * 150,
        "h**(10**9)",
        "1/0",
    ],
)
def test_a_bad_activation_is_one_line_and_is_never_run(text):
    state, frames = last_state("two-layer", SMALL | {"activation": text})
    assert len(frames) == 1
    assert "activation" in state["error"] or "h" in state["error"]
    assert "\n" not in state["error"]
    assert "a fault" not in state["error"]


def test_what_part_of_a_run_shows_is_provisional():
    """No verdict, and no number called final, before the run is whole."""
    changes = {"activation": "h + 0.1 h^3", "steps": 1100}
    frames = last_state("two-layer", SMALL | changes)[1]
    parts = [frame for frame in frames if frame.get("python")]
    assert [frame["provisional"] for frame in parts] == [
        "the first 100 steps",
        "the first 1,000 steps",
        "",
    ]
    labels = [{each["name"]: each["label"] for each in frame["facts"]} for frame in parts]
    assert [each["train_loss"] for each in labels] == [
        "train loss at step 100",
        "train loss at step 1,000",
        "final train loss",
    ]
    coarse = last_state("diagonal", {"d": 20, "n": 4})[1]
    assert [f["provisional"] for f in coarse if f.get("python")] == ["coarse", ""]


def test_the_network_comes_before_its_twin_and_its_forecasts():
    """A move is answered by the network's own curve; the page waits for no more."""
    parts = [f for f in last_state("two-layer", SMALL)[1] if "charts" in f]
    assert [part["partial"] for part in parts] == [True, False, False]
    first, second = (
        [each["name"] for each in part["charts"]["loss"]["lines"]] for part in parts[:2]
    )
    assert first == ["train_loss", "population_loss"]
    assert second == [*first, "twin_train_loss", "twin_population_loss"]
    assert "python" not in parts[0]  # what is drawn can be copied whole, or not yet
    assert [bool(part["charts"]["loss"]["marks"]) for part in parts] == [False, True, True]


def test_answers_are_kept_whole_and_the_oldest_is_forgotten():
    kept, request = Answers(), {"model": "diagonal", "settings": {"d": 20, "n": 4}}
    frames = list(answer(request, Watch(), kept))
    (again,) = answer(request, Watch(), kept)
    assert again == json.loads(json.dumps({key: f[key] for f in frames for key in f}))
    for i in range(KEPT):
        kept.keep(str(i), {})
    assert len(list(answer(request, Watch(), kept))) > 1
    stopped = {"model": "two-layer", "settings": {"D": 20, "P": 100, "steps": 1000}}
    assert list(answer(stopped, Watch(longest=0.0), kept))[-1]["stage"].startswith("stopped")
    assert "complete" in {f.get("stage") for f in answer(stopped, Watch(), kept)}


def test_heavy_settings_are_stopped_with_a_line():
    heavy = {"activation": "h + 0.1 h^3", "steps": 1_000_000, "D": 20, "P": 100}
    state, _ = last_state("two-layer", heavy, longest=2.0)
    assert re.match(r"stopped after 1[0,]+ steps|stopped: too slow", state["stage"])


def test_a_cancelled_answer_ends_at_once():
    watch = Watch()
    frames = answer({"model": "two-layer", "settings": {"D": 100, "P": 1000}}, watch)
    next(frames)
    watch.cancel()
    began = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - began < 10  # at most what can't be interrupted: one forecast


def test_a_watch_ends_what_takes_too_long():
    with pytest.raises(OutOfTime):
        Watch(longest=-1.0)()


def test_a_turn_that_is_waited_for_can_be_cancelled():
    jobs = Jobs()
    with jobs.job("a") as first, jobs.turn(first), jobs.job("b") as second, jobs.turn(second):
        third = Watch()
        third.cancel()
        with pytest.raises(Cancelled), jobs.turn(third):
            pass


def test_pages_that_have_left_are_forgotten():
    jobs = Jobs()
    held = [jobs.job(str(i)) for i in range(MOST_PAGES + 5)]
    watches = [each.__enter__() for each in held]
    assert len(jobs) == MOST_PAGES
    assert [watch.cancelled for watch in watches].count(True) == 5
    for each in held:
        each.__exit__(None, None, None)
    assert len(jobs) == 0


def test_defaults_are_within_the_bounds_and_words_are_in_the_glossary():
    for model in FIELDS:
        assert checked(model, {}) == defaults(model)
    glossary = (Path(__file__).resolve().parent.parent / "docs" / "glossary.md").read_text()
    headings = re.findall(r"^## (.*)$", glossary, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") for heading in headings}
    assert set(WORDS) <= anchors | {"alpha-and-epsilon"}
    used = {field.word for fields in FIELDS.values() for field in fields if field.word}
    assert used <= set(WORDS)
    json.dumps(description(), allow_nan=False)


# The server ------------------------------------------------------------------------------------


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    skip = "Host" in headers
    connection.putrequest(method, path, skip_host=skip)
    content = None if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    if content is not None:
        given.setdefault("Content-Length", str(len(content)))
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders(content)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


QUICK = {"model": "diagonal", "settings": {"d": 20, "n": 4}, "page": "quick"}


def test_the_server_serves_its_page_and_nothing_else(server):
    for path in ("/", "/page.css", "/page.js", "/chart.js", "/fields"):
        response, text = ask(server, "GET", path)
        assert response.status == 200
        assert text
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    for path in ("/../setup.cfg", "/settings.py", "/etc/passwd", "/page.js/.."):
        assert ask(server, "GET", path)[0].status == 404
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_loads_nothing_from_elsewhere():
    folder = Path(sys.modules["lazyrich.explore"].__file__).parent
    for name in ("page.html", "page.css", "page.js", "chart.js"):
        urls = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+", (folder / name).read_text()))
        assert urls <= {"http://www.w3.org"}  # the name of SVG's namespace


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_other_pages_cannot_drive_the_server(server, headers):
    assert ask(server, "POST", "/answer", QUICK, **headers)[0].status == 403
    assert ask(server, "GET", "/", **headers)[0].status == 403


def test_only_json_of_a_bounded_size_is_read(server):
    status = ask(server, "POST", "/answer", QUICK, Content_Type="text/plain")[0].status
    assert status == 415  # what a form of another site could send
    long = ask(server, "POST", "/answer", None, Content_Length=str(LONGEST_REQUEST + 1))
    assert long[0].status == 413
    response, text = ask(server, "POST", "/answer", "not an object")
    assert response.status == 200
    assert "must be an object" in text


def test_the_server_streams_the_frames_of_an_answer(server):
    own = f"http://127.0.0.1:{server.port}"
    new = {"model": "diagonal", "settings": {"d": 20, "n": 5}, "page": "new"}
    response, text = ask(server, "POST", "/answer", new, Origin=own)
    assert response.status == 200
    frames = [json.loads(line) for line in text.splitlines()]
    expected = list(answer(new, Watch()))
    assert frames == json.loads(json.dumps(expected))
    (again,) = ask(server, "POST", "/answer", new | {"page": "another"})[1].splitlines()
    assert json.loads(again) == {key: f[key] for f in frames for key in f}  # kept: all in one
    assert ask(server, "POST", "/answer", {"settings": {}})[1].count("\n") == 1


def test_a_newer_move_cancels_an_older_computation(server):
    heavy = {"activation": "h + 0.1 h^3", "steps": 1_000_000}
    slow = {"model": "two-layer", "settings": heavy, "page": "mover"}
    found = []
    thread = threading.Thread(target=lambda: found.append(ask(server, "POST", "/answer", slow)[1]))
    thread.start()
    while len(server.jobs) == 0:
        time.sleep(0.01)
    time.sleep(0.2)
    ask(server, "POST", "/answer", QUICK | {"page": "mover"})
    thread.join(timeout=15)
    assert not thread.is_alive()
    assert "complete" not in found[0]
    assert len(server.jobs) == 0


def test_many_moves_keep_no_memory():
    """What SymPy would keep of each answer alone is over a thousand blocks of memory."""

    def moves(start, count):
        for i in range(start, start + count):
            given = {"D": 4 + i % 5, "P": 20 + i, "width": 5, "steps": 100, "alpha": 1 + i / 7}
            last_state("two-layer", given)
            last_state("diagonal", {"d": 20 + i, "n": 4, "alpha": 10 + i})
        gc.collect()
        return sys.getallocatedblocks()

    before = moves(0, 6)
    assert moves(6, 5) - before < 5 * 300


def test_ctrl_c_ends_the_command_cleanly(tmp_path):
    command = [sys.executable, "-u", "-m", "lazyrich", "explore", "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline()
        assert re.fullmatch(r"lazyrich explore: http://127\.0\.0\.1:\d+/ \(Ctrl-C .*\)\n", address)
        port = int(address.split(":")[3].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        heavy = json.dumps({"model": "two-layer", "settings": {"D": 100, "P": 1000}})
        connection.request("POST", "/answer", heavy, {"Content-Type": "application/json"})
        connection.getresponse().read1(10)
        process.send_signal(signal.SIGINT if os.name != "nt" else signal.CTRL_C_EVENT)
        out, err = process.communicate(timeout=60)
        connection.close()
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "stopped\n", "")


def test_a_port_in_use_is_one_line(server):
    with pytest.raises(ValueError, match=rf"^--port {server.port}: can't be used"):
        Server(server.port)
