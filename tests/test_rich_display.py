"""What notebooks and terminals show: short, typeset, what users typed escaped; pictures."""

import html
import io
import math

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from lazyrich import paper_figures, simulate, theory
from lazyrich.cli import main
from lazyrich.paper_figures.report import Result
from lazyrich.plotting import rendered
from lazyrich.simulate.pictures import animation
from lazyrich.theory.printing import displayed, shortened


@pytest.mark.parametrize("name", theory.names())
def test_a_closed_form_is_short_in_a_terminal_and_typeset_in_a_notebook(name):
    form = theory.closed_form(name)
    lines = repr(form).splitlines()
    assert lines[0].startswith(f"<ClosedForm {name}: ")
    assert len(repr(form)) < 700
    assert all(term in lines[-1] for term in form.terms)
    text = form._repr_latex_()
    assert text.startswith("$")
    assert text.endswith("$")
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_terms_that_are_the_expression_are_shown_once():
    form = theory.closed_form("moment-flow")
    assert displayed(form.expr, form.terms).count(r"\displaystyle") == len(form.terms)
    assert displayed(form.expr) == rf"$\displaystyle {form.latex()}$"


def test_a_long_formula_is_cut_off():
    form = theory.closed_form("general-test-loss").expr
    assert shortened(form, 10**6).startswith(shortened(form, 50)[:-3])
    assert len(shortened(form, 50)) == 50


def test_nouns_are_typeset():
    problem = theory.Problem(activation="h + c*h**3", readouts="trained")
    shown = problem._repr_latex_()
    for part in (r"v_i \phi(w_i \cdot x)", "c h^{3} + h", r"\frac{1}{D} I"):
        assert part in shown
    assert "v_i" not in theory.Problem()._repr_latex_()
    assert problem.activation._repr_latex_() == r"$\displaystyle \phi(h) = c h^{3} + h$"
    assert problem.target._repr_latex_().startswith(r"$\displaystyle y(x) = ")


TASK = simulate.PolynomialTask(D=6, P=30, n_test=20, seed=0)
OPTIONS: dict = {"epsilon": 0.5, "width": 20, "steps": 200}


def png(figure) -> np.ndarray:
    """The picture as an array, to see that something was drawn."""
    return imread(io.BytesIO(rendered(figure, ("png",))["png"]))


def drawn(figure) -> bool:
    return float(png(figure)[..., :3].std()) > 0.01


@pytest.mark.parametrize("options", [{}, {"width": math.inf}, {"engine": "linearised"}])
def test_runs_show_their_losses_and_both_times(options):
    run = simulate.train(TASK, **OPTIONS | options)
    (axes,) = run.plot().axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"train loss", "population loss"} <= set(labels)
    assert "test loss" not in labels
    found = run.outcome()
    texts = [text.get_text() for text in axes.texts]
    for side, at in (("train", found.train_fall), ("test", found.test_fall)):
        assert (f"{side} falls: {at:.3g}" in texts) is math.isfinite(at)
    assert drawn(run.plot())
    assert "data:image/png;base64," in run._repr_html_()
    assert html.unescape(found._repr_html_()) == f"<p>{found}</p>"


def test_what_users_typed_is_escaped():
    history = simulate.train(TASK, **OPTIONS).history
    run = simulate.Run(history, {}, {"engine": "<script>alert(1)</script>"})
    assert "<script>" not in run._repr_html_()
    task = simulate.PolynomialTask(D=6, P=30, target="(beta.x)**2 + 1")
    assert task.formula() in html.unescape(task._repr_html_())
    assert "<PolynomialTask" not in task._repr_html_()
    report = Result("1", "<b>title</b>", "tiny", "<i>caption</i>", {"<u>": 1}, (), 0.1, ())
    assert not {"<b>title", "<i>", "<u>"} & set(report._repr_html_().split())
    assert "<i>" not in report._repr_html_()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"indices": 2},
        {"indices": 5},
        {"target_degree": 3},
        {"noise": 0.5},
        {"target": "x'B x", "constants": {"B": np.eye(6)}},
    ],
)
def test_a_task_is_short_and_draws_its_labels(changes):
    task = simulate.PolynomialTask(D=6, P=30, seed=0, **changes)
    assert repr(task).startswith(f"<PolynomialTask: {task.formula()}; D = 6, P = 30")
    assert len(repr(task)) < 200
    assert drawn(task.plot())
    given = simulate.PolynomialTask.from_arrays(X=np.eye(6), y=np.arange(6.0))
    assert "from arrays" in repr(given)
    assert drawn(given.plot())


def test_a_forecast_draws_its_times_and_the_losses_over_p():
    found = simulate.forecast(D=12, P=70, alpha=1.0, epsilon=0.2, draws=2)
    times, losses = found.plot().axes
    assert len(losses.lines) == 3
    assert [label.get_text() for label in times.get_yticklabels()] == [
        "test loss\nfalls",
        "train loss\nfalls",
    ]
    assert found.phase in found._repr_html_()
    never = simulate.forecast(D=12, P=20, alpha=1.0, epsilon=0.02, draws=1)
    assert math.isinf(never.test_fall)
    assert drawn(never.plot())


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    grid = {"alpha": [0.5, 2.0, 400.0], "seed": [0, 1], "engine": ["flow", "moments"]}
    folder = tmp_path_factory.mktemp("sweep")
    return simulate.sweep(grid, folder=folder, jobs=1, D=6, P=30, n_test=20, **OPTIONS)


def test_a_sweep_draws_losses_and_times_along_a_parameter(swept):
    curves, falls = simulate.plot_sweep(swept).axes
    assert falls.get_xlabel() == "alpha"
    assert sum(line.get_linestyle() == "-" for line in curves.lines) == 3
    labels = [text.get_text() for text in falls.get_legend().get_texts()]
    assert "test: not within the run" in labels
    assert drawn(simulate.plot_sweep(swept, along="engine", at={"alpha": 2.0}))
    for wrong, message in (
        ({"along": "alfa"}, "did you mean 'alpha'"),
        ({"at": {"engine": "flo"}}, r"at engine = 'flo': must be one of \['flow', 'moments'\]"),
        ({"at": {"alpha": 2.0}}, "at = 'alpha'"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate.plot_sweep(swept, **wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "moments"},
        {"engine": "linearised"},
        {"engine": "flow", "centred": False},
        {"engine": "moments", "momentum": 0.5, "weight_decay": 0.1},
    ],
)
def test_the_neurons_of_a_film_are_those_of_the_network(options):
    """Against the network trained neuron by neuron, or at the end by its moments."""
    shown = animation.film(TASK, 5, **OPTIONS | options)
    assert shown.steps[0] == 0
    assert shown.steps[-1] == 200
    if options["engine"] == "moments":
        slow = animation.film(TASK, 5, **OPTIONS | options | {"engine": "neurons"})
        np.testing.assert_allclose(np.abs(shown.neurons), np.abs(slow.neurons), atol=1e-8)
    if options["engine"] != "linearised":
        wbar, M = shown.run.state
        beta = TASK.beta / TASK.beta.norm()
        along = shown.neurons[-1, :, 0]
        assert along.mean() == pytest.approx(float(wbar @ beta), abs=1e-9)
        assert np.square(along).mean() == pytest.approx(float(beta @ M @ beta), rel=1e-9)


def test_a_film_changes_nothing_of_the_run():
    shown = animation.film(TASK, 4, engine="moments", **OPTIONS)
    plain = simulate.train(TASK, engine="moments", **OPTIONS)
    assert shown.run.history.sel(step=plain.history.step).identical(plain.history)
    assert animation.film(TASK, 4, **OPTIONS | {"width": math.inf}).neurons.shape[1] == 300


def test_an_animation_is_a_gif_and_mp4_says_what_it_needs(tmp_path, monkeypatch):
    file = tmp_path / "a.gif"
    run = simulate.animate(TASK, file, frames=4, **OPTIONS)
    with Image.open(file) as film:
        assert film.n_frames >= 4
        assert film.size[0] > 600
    assert run.history.step[-1] == 200
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", lambda: False)
    for name, message in (("a.mp4", "needs the program ffmpeg"), ("a.avi", "Allowed: .gif, .mp4")):
        with pytest.raises(ValueError, match=message):
            simulate.animate(TASK, tmp_path / name, **OPTIONS)
    with pytest.raises(ValueError, match="frames = 0"):
        simulate.animate(TASK, file, frames=0, **OPTIONS)


def test_the_command_animates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = "simulate --D 4 --P 12 --width 8 --epsilon 0.5 --steps 4 --animate a.gif --quiet"
    main(small.split())
    assert "wrote a.gif" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(small.replace("a.gif", "a.avi").split())


def test_time_to_grok_takes_the_test_loss_that_was_measured():
    history = simulate.train(TASK, **OPTIONS).history
    population = simulate.time_to_grok(history)
    assert population.identical(simulate.time_to_grok(history, test="population_loss"))
    bare = history.drop_vars("population_loss")
    assert simulate.time_to_grok(bare).identical(simulate.time_to_grok(history, test="test_loss"))


# Files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plotters(swept, tmp_path_factory):
    """Everything with ``plot``, by name."""
    run = simulate.train(TASK, **OPTIONS)
    figure = paper_figures.make("lazy-curve", "tiny", tmp_path_factory.mktemp("figures"))
    return {
        "run": run.plot,
        "task": TASK.plot,
        "forecast": simulate.forecast(TASK, epsilon=0.5).plot,
        "sweep": lambda file: simulate.plot_sweep(swept, file=file),
        "figure": figure.plot,
    }


def test_every_plot_writes_a_file_or_says_in_one_line_why_not(tmp_path, plotters):
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    for number, (name, plot) in enumerate(plotters.items()):
        for suffix in starts if name == "run" else [list(starts)[number % len(starts)]]:
            file = tmp_path / f"{name}{suffix}"
            assert plot(str(file)) is not None
            assert file.read_bytes().startswith(starts[suffix])
        for wrong in ("curve.gif", tmp_path / "none" / "curve.png"):
            with pytest.raises(ValueError, match=r"^file .*(Allowed|does not exist)") as bad:
                plot(wrong)
            assert "\n" not in str(bad.value)


def test_every_plot_is_shown_by_a_notebook_that_has_not_loaded_pyplot(plotters):
    """Otherwise IPython has no printer for figures, and shows their address in memory."""
    for name, plot in plotters.items():
        assert plot(None)._repr_png_().startswith(b"\x89PNG"), name


@pytest.mark.parametrize(("frames", "steps"), [(1, 50), (2, 50), (30, 100_000), (30, 1000), (9, 3)])
def test_an_animation_has_the_frames_that_are_asked_for(frames, steps):
    """At most one a step, the last step among them."""
    stops = animation._stops(steps, frames)
    assert len(stops) == min(frames, steps + 1)
    assert max(stops) == steps
    assert all(0 <= stop <= steps for stop in stops)


@pytest.mark.parametrize(("D", "width"), [(1, 6), (1, 1), (4, 1)])
def test_a_film_of_the_smallest_networks(D, width):
    """One neuron; and one dimension, where nothing is across the target."""
    task = simulate.PolynomialTask(D=D, P=8, seed=0)
    shown = animation.film(task, 4, width=width, steps=50)
    assert shown.neurons.shape == (4, width, 2)
    if D == 1:
        assert not shown.neurons[:, :, 1].any()


def test_the_answer_of_check_is_shown_whole_and_escaped():
    text = theory.check("ntk-eigenvalues.radial", "epsilon^2 sigma^2/D (1 + 1/D)")._repr_html_()
    for part in ("not equal", r"\neq", "at D = 1", "should be", "Assumes:"):
        assert part in text
    form = theory.closed_form("ntk-at-init")._repr_html_()
    assert "N -&gt; infinity" in form
    assert "$\\begin{array}" in form
