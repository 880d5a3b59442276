"""Formulas as one writes them in a paper, read into SymPy and written out again.

A text is parsed by rules of our own and never evaluated.

    numbers         3, 1/2, 0.25, 1e-3 (all exact)
    operators       + - * / ^ (or **); a product needs no sign: 2 epsilon^2, D(D + 2), x'Ax
    scalar product  beta.x, x.(M x)
    transpose       ' as in x'Ax, beta beta' (also x^T and x.T)
    norm            |beta|^2, |x|
    trace           tr(M^2)
    functions       sqrt exp log erf sin cos tan tanh ... relu max min, He_3(h), binom(D, 2), D!,
                    diag(v)
    names           those of ``--at``: alpha, epsilon, beta, wbar, M, ...; the kernel's second
                    argument is x_prime; a run of letters is split into known names: Mbeta
    Unicode         Greek letters, superscripts and the like are welcome: ε²β'Mβ
    LaTeX           \\frac{3 |\\beta|^4}{4 D^2}, \\bar{w}^\\top x, \\langle a, b\\rangle, ...

>>> from lazyrich.theory.symbols import M, beta, epsilon
>>> read("8 epsilon beta'Mbeta", [M, beta, epsilon])
8*epsilon*Trace(beta.T*M*beta)
"""

from lazyrich.theory.grammar.errors import FormulaError
from lazyrich.theory.grammar.names import conventional, scalars
from lazyrich.theory.grammar.reader import read
from lazyrich.theory.grammar.writer import write

__all__ = ["FormulaError", "conventional", "read", "scalars", "write"]
