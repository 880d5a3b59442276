"""The symbols of training: its data, steps and scales. Those of the model are in ``symbols``."""

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.symbols import D, P, SymmetricMatrixSymbol

X = MatrixSymbol("X", P, D)  # training inputs, one sample in each row
y = MatrixSymbol("y", P, 1)  # training labels
r = MatrixSymbol("r", P, 1)  # training residuals f(x_mu) - y_mu
rho = sp.Symbol("rho", real=True)  # residual f(x) - y(x) at one sample
K = SymmetricMatrixSymbol("K", P, P)  # the normalised NTK on the training inputs, the paper's K
lambda_k = sp.Symbol("lambda_k", positive=True)  # an eigenvalue of K

tau = sp.Symbol("tau", positive=True)  # training time, eta_0 * step
F = MatrixSymbol("F", D, D)  # a general matrix: a gradient step maps a neuron w to F w - g
g = MatrixSymbol("g", D, 1)

betahat = MatrixSymbol("betahat", D, 1)  # beta/|beta|
a = sp.Symbol("a", positive=True)  # alpha epsilon sigma^2/|beta|^2
T = sp.Symbol("T", nonnegative=True)  # 2 epsilon |beta|^2 tau/(alpha D^2)
