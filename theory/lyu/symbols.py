"""The symbols of the dichotomy, in the paper's names; a(t) = alpha exp(-lambda t) is one of them.

Coordinates are scalars here: u, v, w, z stand for one coordinate each of the vectors.
"""

import sympy as sp

from lazyrich.theory.linear import linear_flow

L = sp.Symbol("L", positive=True)  # degree of homogeneity; depth of the diagonal net
alpha = sp.Symbol("alpha", positive=True)  # scale of the initial weights, theta(0) = alpha thetabar
lamda = sp.Symbol("lamda", positive=True)  # weight decay, (lambda/2) |theta|^2 in the loss
t = sp.Symbol("t", nonnegative=True)  # time of the gradient flow
a = sp.Symbol("a", positive=True)  # alpha exp(-lambda t), what the decay leaves of alpha
n = sp.Symbol("n", integer=True, positive=True)  # number of samples; the loss is their mean
d = sp.Symbol("d", integer=True, positive=True)  # dimension of the input
f = sp.Symbol("f", real=True)  # output at one sample
y = sp.Symbol("y", real=True)  # its label
q = sp.Symbol("q", positive=True)  # smallest margin, min_i y_i f_i
c = sp.Symbol("c", positive=True)  # of the times T-+ = (1 -+ c) log(alpha)/lambda

u = sp.Symbol("u", positive=True)  # weights of one coordinate of the diagonal net
v = sp.Symbol("v", positive=True)
g = sp.Symbol("g", real=True)  # derivative of the mean loss in w, for one coordinate
w = sp.Symbol("w", real=True)  # u^L - v^L
z = sp.Symbol("z", real=True)  # its dual variable, X^T nu


def scale(time: sp.Expr = t) -> sp.Expr:
    """a(t), which solves da/dt = -lambda a from a(0) = alpha."""
    return linear_flow(-lamda * a, a, t, alpha).subs(t, time)
