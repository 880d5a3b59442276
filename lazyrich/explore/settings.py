"""What can be set in the explorer: the fields of each model, with their bounds, and the presets."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from lazyrich.simulate.activations import DEFAULT
from lazyrich.support.arguments import finite, one_of, shown

LONGEST_TEXT = 200


@dataclass(frozen=True)
class Field:
    """One setting, with its control: a slider ("number", "integer"), a "switch", "text", "choice".

    ``log``: the slider is logarithmic. ``infinite``: its upper end means infinity. ``word`` is the
    entry of the glossary that explains it.
    """

    name: str
    label: str
    help: str
    default: Any
    kind: str = "number"
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    infinite: bool = False
    choices: tuple[str, ...] = ()
    word: str = ""

    def read(self, given: Any) -> Any:
        """Return the value that was given, as a number where it is one. Raises ``ValueError``.

        >>> D = Field("D", "dimension D", "", 40, "integer", 2, 100)
        >>> D.read("60"), D.read(40.0)
        (60, 40)
        >>> D.read("600")
        Traceback (most recent call last):
        ...
        ValueError: D = 600: must be a whole number from 2 to 100 in the explorer
        """
        if self.kind == "choice":
            return one_of(self.name, given, self.choices)
        try:
            return self._value(given)
        except ValueError:
            text = given.strip() if isinstance(given, str) else ""
            what = text if _is_number(text) else shown(given)
            raise ValueError(f"{self.name} = {what}: must be {self.allowed}") from None

    @property
    def allowed(self) -> str:
        """What the value must be: every message on this field says it.

        >>> FIELDS["two-layer"][4].allowed
        'a whole number from 1 to 1,000, or inf, in the explorer'
        """
        if self.kind == "switch":
            return "true or false"
        if self.kind == "text":
            return f"text of 1 to {LONGEST_TEXT} characters"
        what = "a whole number" if self.kind == "integer" else "a number"
        more = ", or inf," if self.infinite else ""
        low, high = (
            f"{end:,.0f}" if end == int(end) else f"{end:g}" for end in (self.low, self.high)
        )
        return f"{what} from {low} to {high}{more} in the explorer"

    def _value(self, given: Any) -> Any:
        """Return the value. Raises ``ValueError`` where it is not allowed."""
        if self.kind == "switch":
            if isinstance(given, bool):
                return given
            raise ValueError
        if self.kind == "text":
            if isinstance(given, str) and given.strip() and len(given) <= LONGEST_TEXT:
                return given.strip()
            raise ValueError
        if isinstance(given, str) and not given.isascii():  # Python reads digits of every script
            raise ValueError
        number = float(given) if isinstance(given, str) else given
        if self.infinite and number == math.inf:
            return math.inf
        number = finite(self.name, number)
        if self.kind == "integer":
            if not number.is_integer():
                raise ValueError
            number = int(number)
        if not self.low <= number <= self.high:
            raise ValueError
        return number


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_SEED = Field("seed", "seed", "Draws other data and other first weights.", 0, "integer", 0, 99)

FIELDS: dict[str, tuple[Field, ...]] = {
    "two-layer": (
        Field(
            "alpha",
            "output scale α",
            "Multiplies the output. Larger: lazier.",
            1.0,
            low=0.01,
            high=100.0,
            log=True,
            word="alpha-and-epsilon",
        ),
        Field(
            "epsilon",
            "curvature ε",
            "Curvature of the activation: how much of the target the first kernel can represent.",
            0.05,
            low=0.001,
            high=4.0,
            log=True,
            word="alpha-and-epsilon",
        ),
        Field("D", "dimension D", "Dimension of the inputs.", 40, "integer", 2, 100, log=True),
        Field("P", "samples P", "Number of training samples.", 220, "integer", 2, 1000, log=True),
        Field(
            "width",
            "width N",
            "Number of neurons; the right end is an infinite width.",
            100,
            "integer",
            1,
            1000,
            log=True,
            infinite=True,
            word="width",
        ),
        Field("noise", "noise", "Standard deviation of the labels' noise.", 0.0, low=0.0, high=1.0),
        _SEED,
        Field(
            "learning_rate",
            "learning rate η₀",
            "η = η₀ N/α²: curves compare across α and N.",
            1.0,
            low=0.01,
            high=20.0,
            log=True,
        ),
        Field("steps", "steps", "Steps of descent.", 100_000, "integer", 10, 1_000_000, log=True),
        Field(
            "activation",
            "activation φ(h)",
            "A polynomial in h, a erf(b h) or a relu(h), with numbers or epsilon as coefficients.",
            DEFAULT,
            "text",
        ),
        Field(
            "centred",
            "centred",
            "Train f(x; w) − f(x; w₀), which starts at 0, in place of f(x; w).",
            True,
            "switch",
            word="centred",
        ),
    ),
    "diagonal": (
        Field(
            "alpha",
            "start scale α",
            "Scale of the first weights. Larger: lazier.",
            128.0,
            low=2.0,
            high=10_000.0,
            log=True,
        ),
        Field(
            "weight_decay",
            "weight decay λ",
            "Shrinks the weights: the late bias takes over near time log(α)/λ.",
            1e-3,
            low=1e-5,
            high=0.1,
            log=True,
        ),
        Field("d", "dimension d", "Number of inputs.", 1000, "integer", 20, 10_000, log=True),
        Field("n", "samples n", "Number of training samples.", 100, "integer", 4, 128, log=True),
        Field("depth", "depth L", "f(x) = ⟨uᴸ − vᴸ, x⟩.", 2, "integer", 2, 4),
        _SEED,
        Field(
            "data",
            "data",
            "sparse: the sign of three inputs. margin: two clouds along a dense direction.",
            "sparse",
            "choice",
            choices=("sparse", "margin"),
            word="early-and-late-bias",
        ),
    ),
}


# The head of the page, by model: what is drawn.
HEADS = {
    "two-layer": "Move a slider and watch the network learn: lazy at first, rich later, grokking "
    "in between. Thick lines: the network. Thin lines: its linearised twin.",
    "diagonal": "Move a slider and watch the network learn: first the solution that its first "
    "kernel prefers, then, under weight decay, the one of smallest norm. No twin is drawn.",
}


@dataclass(frozen=True)
class Preset:
    """Settings that show something, by model."""

    label: str
    shows: str
    model: str
    settings: dict[str, Any]


def defaults(model: str) -> dict[str, Any]:
    """Return the settings that a model starts with.

    >>> defaults("diagonal")["depth"]
    2
    """
    return {field.name: field.default for field in FIELDS[one_of("model", model, FIELDS)]}


def checked(model: Any, given: Any) -> dict[str, Any]:
    """Return the settings of this model from those that a page sent; defaults where it sent none.

    >>> checked("two-layer", {"alpha": "2", "width": "inf"})["width"]
    inf
    >>> checked("two-layer", {"alhpa": 2})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: setting = 'alhpa': did you mean 'alpha'? ...
    """
    fields = {field.name: field for field in FIELDS[one_of("model", model, FIELDS)]}
    if not isinstance(given, Mapping):
        raise ValueError(f"settings = {shown(given)}: must be settings by name")
    for name in given:
        one_of("setting", name, fields)
    return {name: field.read(given.get(name, field.default)) for name, field in fields.items()}


@cache
def presets() -> dict[str, Preset]:
    """Return the presets by name. The numbers are those of the figures."""
    from lazyrich.paper_figures.kumar import figure1, figure3, figure4, figure9

    one, three = figure1.PRESETS["paper"], figure3.PRESETS["paper"]
    four, nine = figure4.PRESETS["paper"], figure9.PRESETS["paper"]
    first = _shared(one) | {name: getattr(one, name) for name in ("P", "width", "epsilon")}
    third = _shared(three) | {"P": three.P_alpha, "width": three.width, "epsilon": three.epsilon}
    fourth = _shared(four) | {"P": four.P, "epsilon": four.epsilon, "centred": four.centred}
    ninth = _shared(nine) | {"width": nine.width}
    misaligned = ninth | {"epsilon": nine.epsilons[1]}
    few, some, many = nine.sizes
    found = {
        "start": Preset(
            "A network that groks", "fast to compute: D = 40", "two-layer", defaults("two-layer")
        ),
        "figure-1": Preset(
            "Figure 1: grokking without weight decay",
            "the train loss falls early, the test loss late",
            "two-layer",
            first,
        ),
        "figure-3-rich": Preset(
            "Figure 3: rich (small α)",
            "little rise of the test loss, no delay",
            "two-layer",
            third | {"alpha": three.alphas[1]},
        ),
        "figure-3-lazy": Preset(
            "Figure 3: lazy (large α)",
            "the network stays at its linearised twin for long",
            "two-layer",
            third | {"alpha": three.alphas[-1]},
        ),
        "figure-4-narrow": Preset(
            f"Figure 4: {four.widths[0]} neurons",
            "the terms of the test loss of a tiny network",
            "two-layer",
            fourth | {"width": four.widths[0]},
        ),
        "figure-4-wide": Preset(
            f"Figure 4: {four.widths[1]} neurons",
            "the same task and a wide network",
            "two-layer",
            fourth | {"width": four.widths[1]},
        ),
        "figure-9-few": Preset(
            f"Figure 9: too few samples (P = {few})",
            "fits the training set, never generalises",
            "two-layer",
            misaligned | {"P": few},
        ),
        "figure-9-some": Preset(
            f"Figure 9: enough samples (P = {some})",
            "generalises late",
            "two-layer",
            misaligned | {"P": some},
        ),
        "figure-9-many": Preset(
            f"Figure 9: many samples (P = {many})",
            "generalises at once",
            "two-layer",
            misaligned | {"P": many},
        ),
        "late-bias": Preset(
            "Diagonal net: the late bias generalises",
            "sparse labels: grokking near log(α)/λ",
            "diagonal",
            defaults("diagonal"),
        ),
        "early-bias": Preset(
            "Diagonal net: the early bias generalises",
            "a large margin along a dense direction: misgrokking",
            "diagonal",
            defaults("diagonal") | {"data": "margin", "d": 2000, "n": 8},
        ),
    }
    return {
        name: Preset(p.label, p.shows, p.model, checked(p.model, p.settings))
        for name, p in found.items()
    }


def _shared(parameters: Any) -> dict[str, Any]:
    """What all figures of the two-layer network say by the same names."""
    names = ("D", "alpha", "learning_rate", "steps", "centred")
    return {name: getattr(parameters, name) for name in names if hasattr(parameters, name)}


def description() -> dict[str, Any]:
    """Return fields, heads and presets by model and name, as JSON holds them."""
    fields = {model: [asdict(field) for field in found] for model, found in FIELDS.items()}
    made = {name: asdict(preset) for name, preset in presets().items()}
    return {"fields": fields, "heads": HEADS, "presets": made}
