"""The symbols of the model, in the paper's names, and the laws of its random vectors.

Vectors are ``MatrixSymbol`` of shape (D, 1), matrices of shape (D, D), for symbolic dimension D.
A matrix is symmetric if it was declared so, by its class; its name says nothing about that.
"""

from dataclasses import dataclass

import sympy as sp
from sympy import MatrixSymbol
from sympy.matrices.expressions.matexpr import MatrixExpr


class SymmetricMatrixSymbol(MatrixSymbol):
    """A matrix symbol that equals its transpose.

    A general ``MatrixSymbol`` of the same name and shape is another symbol.

    >>> D = sp.Symbol("D", integer=True, positive=True)
    >>> SymmetricMatrixSymbol("B", D, D) == MatrixSymbol("B", D, D)
    False
    """

    def __new__(cls, name, n, m):
        """Raise ``ValueError`` if the shape is not square."""
        if n != m:
            raise ValueError(f"{name} has shape ({n}, {m}): a symmetric matrix is square")
        return super().__new__(cls, name, n, m)

    @classmethod
    def class_key(cls):
        """Return the sort key of the class: SymPy sorts these symbols among the general ones."""
        return MatrixSymbol.class_key()


D = sp.Symbol("D", integer=True, positive=True)  # dimension of the input
N = sp.Symbol("N", integer=True, positive=True)  # width
P = sp.Symbol("P", integer=True, positive=True)  # number of training samples
alpha = sp.Symbol("alpha", real=True, nonzero=True)  # scale of the output
epsilon = sp.Symbol("epsilon", real=True)  # curvature of the activation
sigma = sp.Symbol("sigma", positive=True)  # standard deviation of the initial weights
b = sp.Symbol("b", positive=True)  # |beta|^2
eta_0 = sp.Symbol("eta_0", positive=True)  # learning rate in units of N/alpha^2

x = MatrixSymbol("x", D, 1)
x_prime = MatrixSymbol("x'", D, 1)
w = MatrixSymbol("w", D, 1)  # the weights of one neuron
beta = MatrixSymbol("beta", D, 1)  # direction of the target
wbar = MatrixSymbol("wbar", D, 1)  # mean of the weights over the neurons
wbar0 = MatrixSymbol("wbar0", D, 1)  # the same at initialisation
M = SymmetricMatrixSymbol("M", D, D)  # second moment of the weights
M0 = SymmetricMatrixSymbol("M0", D, D)  # the same at initialisation
A = SymmetricMatrixSymbol("A", D, D)  # a test matrix: the quadratic function x^T A x
B = SymmetricMatrixSymbol("B", D, D)  # another
Sigma = SymmetricMatrixSymbol("Sigma", D, D)  # covariance of the inputs, where it is general
u = MatrixSymbol("u", D, 1)  # a test vector: the linear function u.x

I = sp.Identity(D)


@dataclass(frozen=True)
class Gaussian:
    """The law of a centred Gaussian vector: ``vector`` of shape (D, 1), ``covariance`` (D, D)."""

    vector: MatrixSymbol
    covariance: MatrixExpr


def isotropic(vector: MatrixSymbol, variance: sp.Expr | None = None) -> Gaussian:
    """The law N(0, variance * I) of a vector; by default that of the inputs, variance 1/D."""
    dimension = vector.shape[0]
    variance = 1 / dimension if variance is None else variance
    return Gaussian(vector, variance * sp.Identity(dimension))
