"""The symbols that several laws share; those of the model are in ``theory.symbols``."""

import sympy as sp

p = sp.Symbol("p", positive=True)  # share of a feature that is learned: 0 at first, 1 at the end
gamma = sp.Symbol("gamma", positive=True)  # P/D
