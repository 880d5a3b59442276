"""Arrays that don't hold their numbers one after the other: one line names the argument."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

from lazyrich import simulate, theory

MOMENTS = {"D": 3, "alpha": 1, "epsilon": 1, "beta": [1, 1, 2], "wbar": [0, 1, 0]}
MOMENTS["M"] = np.eye(3).tolist()
LOSS = theory.closed_form("test-loss")
OWN = theory.Problem("h + c*h**3", "(beta.x)**2/2")
X, Y = torch.linspace(0, 1, 9).reshape(3, 3), torch.ones(3, 1)
LINEAR, LABELS = ("test-loss.linear", "alpha^2/D |wbar|^2"), torch.ones(3)


def nested(A):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a prototype
        return torch.nested.nested_tensor(list(A))


def masked(A):
    return np.ma.masked_array(A.numpy(), mask=np.eye(3))


def network():
    return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))


def data(**odd):
    sides = {"X": X, "y": Y, "X_test": X, "y_test": Y} | odd
    return simulate.Data(**sides)


def quantized(A):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch will leave out
        return torch.quantize_per_tensor(A, 0.1, 0, torch.qint8)


def in_rows(A):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch has not finished
        return A.to_sparse_csr()


KINDS = {
    "a tensor on the device meta, which holds no numbers": lambda A: A.to("meta"),
    "a sparse tensor": lambda A: A.to_sparse(),
    "a sparse tensor (csr)": in_rows,
    "a quantized tensor": quantized,
    "a nested tensor": nested,
    "a tensor of torch.float8_e4m3fn": lambda A: A.to(torch.float8_e4m3fn),
    "a masked array with masked entries": masked,
    "an array of datetime64[s]": lambda A: A.numpy().astype("datetime64[s]"),
    "an array of [('a', '<f8')]": lambda _: np.zeros((3, 3), [("a", float)]),
    "a sparse array": lambda A: scipy.sparse.csr_array(A.numpy()),
}
DOORS = {
    "evaluate": ("M", lambda A: LOSS.evaluate(**MOMENTS | {"M": A})),
    "subs": ("M", lambda A: LOSS.subs(M=A)),
    "a function on NumPy's arrays": ("M", lambda A: LOSS.function("numpy")(**MOMENTS | {"M": A})),
    "check": ("M", lambda A: theory.check(*LINEAR, at={"M": A})),
    "population loss": ("W", lambda A: OWN.population_loss(W=A, beta=[1, 0, 0], c=0.1)),
    "a constant": (
        "c",
        lambda A: OWN.population_loss(W=np.eye(3), beta=[1, 0, 0], c=A),
    ),
    "inputs of a task": ("X", lambda A: simulate.PolynomialTask.from_arrays(X=A, y=LABELS)),
    "covariance": ("inputs", lambda A: simulate.PolynomialTask(D=3, P=9, inputs=A)),
    "forecast": (
        "X",
        lambda A: simulate.forecast({"X": A, "y": LABELS}, alpha=1.0, epsilon=0.5, steps=9),
    ),
    "data": ("X_test", lambda A: data(X_test=A)),
    "labels": ("y", lambda A: data(y=A)),
    "times": ("times", lambda A: simulate.lazy_curve(network(), data(), loss="mse", times=A)),
    "kernel": ("X2", lambda A: simulate.ntk(network(), X, A)),
    "product": ("v", lambda A: simulate.ntk_product(network(), X, A)),
    "kernels": ("K0", lambda A: simulate.kernel_change(np.eye(3), A)),
    "labels of a kernel": ("y", lambda A: simulate.difficulty(np.eye(3), A)),
    "a matrix": ("K", simulate.as_matrix),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_array_that_is_not_dense_is_one_line(kind, door):
    name, call = DOORS[door]
    with pytest.raises(ValueError, match=rf"^{name} is ") as error:
        call(KINDS[kind](torch.eye(3)))
    assert str(error.value) == f"{name} is {kind.split(' (')[0]}: must be a dense array of numbers"


def test_a_function_on_tensors_gives_shapes_without_numbers():
    """On the device meta, as torch's users look for shapes."""
    found = LOSS.function("torch")(**MOMENTS | {"M": torch.eye(3, device="meta")})
    assert (found.shape, found.is_meta) == ((), True)
    with pytest.raises(ValueError, match=r"^M is a sparse tensor"):
        LOSS.function("torch")(**MOMENTS | {"M": torch.eye(3).to_sparse()})


@pytest.mark.parametrize(
    "view",
    [
        torch._neg_view,
        lambda A: A.requires_grad_(),
        lambda A: A.bfloat16(),
        lambda A: np.ma.masked_array(A),
        lambda A: A.double().numpy().astype(np.longdouble),
    ],
)
def test_other_views_of_numbers_are_taken(view):
    sign = -1.0 if view is torch._neg_view else 1.0
    given = view(torch.tensor([[0.0, 0.5, 2.0]]))
    right = sign * np.array([[0.0, 0.5, 2.0]])
    found = simulate.PolynomialTask.from_arrays(X=given, y=[1.0]).X
    assert np.array_equal(found, right)
    # With B = M - beta beta': (tr B/(2 D))^2 + tr(B^2)/(2 D^2) + |wbar|^2/D.
    loss = LOSS.evaluate(**MOMENTS | {"wbar": given[0]})
    assert loss == pytest.approx(1 / 4 + 3 / 2 + 4.25 / 3, rel=1e-15)


def test_complex_numbers_are_refused_as_such():
    with pytest.raises(ValueError, match=r"^c = .*: must be a finite number$"):
        OWN.population_loss(W=np.eye(3), beta=[1, 0, 0], c=np.array(1j))
    with pytest.raises(ValueError, match=r"^W is an array of complex numbers: must be real$"):
        OWN.population_loss(W=torch.eye(3) * 1j, beta=[1, 0, 0], c=0.1)


def test_inputs_that_no_weights_take_are_one_line_of_sharpness():
    with pytest.raises(ValueError, match=r"^the model can't be called on X: .*data\.to"):
        simulate.sharpness(network(), data().to(torch.float64), "mse")
