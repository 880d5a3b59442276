"""Which closed forms have symbols of their own that a user's coefficient may not be named after."""

from collections.abc import Iterable

# name -> the symbols of formula and derivation; the tests derive the forms and compare. Names that
# no coefficient can have (``activation.RESERVED``) are left out.
OWN_SYMBOLS = {
    "centred-kernel-alignment": "M wbar",
    "gram-alignment": "M wbar",
    "kernel-alignment": "M wbar",
    "lazy-coordinates": "delta eta_0 rho",
    "lazy-curve-limit": "c gamma gamma_2 k s",
    "lazy-learning-curve": "kappa",
    "lazy-rate": "G K X delta eta_0 g lambda_i lambda_j rho tau y y_i y_j",
    "loss-variance-at-init": "M wbar",
    "moment-flow": "M X eta_0 r rho v_squared vbar vw wbar",
    "moment-flow-decay": "M X eta_0 kappa kappa_d r wbar",
    "moment-step": "F M X eta_0 g r rho wbar",
    "moment-step-decay": "F M X eta_0 g kappa kappa_d r wbar",
    "moment-step-momentum": "C F M S V X eta_0 g kappa kappa_d mu r vbar wbar",
    "moments-at-init": "A u",
    "momentum-modes": "eta_0 h lambda_k mu z",
    "most-aligned-moment": "t",
    "network-function": "M wbar",
    "neuron-flow": "rho",
    "ntk": "M wbar",
    "ntk-at-finite-width": "M wbar",
    "ntk-rank": "n",
    "population-flow": "M M0 eta_0 wbar wbar0",
    "population-flow-scalar": "M T a b m_1 m_perp q_1 q_perp wbar wbar_1",
    "population-loss": "w_prime",
    "population-step": "M M0 eta_0 rho wbar wbar0",
    "population-time": "T a b chi p q_1 q_perp",
    "scale-equivalence": "c eta_0 rho",
    "slaved-flow": "C Q Q0 X b betahat m r wbar",
    "spike-growth": "Q X b kappa_1 lambda_1 p q q_0 r t",
    "test-loss": "M wbar",
    "test-loss-centred": "M M0 wbar wbar0",
    "test-loss-minimiser": "B M0 wbar wbar0",
}
# Own symbols that stand aside where the user has the name: the form then writes |beta|^2 out.
STANDS_ASIDE = {"early-plateau": "b"}


def clash(name: str, symbols: Iterable[str]) -> str | None:
    """Return why a closed form is not available for coefficients of these names, or None.

    >>> clash("scale-equivalence", ["c", "k"])
    'c is another symbol of scale-equivalence: give the coefficient another name'
    >>> clash("ntk", ["c", "k"])
    """
    own = OWN_SYMBOLS.get(name, "").split()
    for symbol in symbols:
        if symbol in own:
            return f"{symbol} is another symbol of {name}: give the coefficient another name"
    return None
