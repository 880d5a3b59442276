"""Types of arguments: ``Float[Tensor, "P D"]``, an array with its shape, and ``Number``.

jaxtyping is a tool of development: the tests check every annotation with it. Without it the
annotations say the same and check nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float
else:
    try:
        from jaxtyping import Float
    except ImportError:

        class Float:
            """Stands in for ``jaxtyping.Float`` where that is not installed."""

            def __class_getitem__(cls, item: tuple) -> type:
                return item[0]


__all__ = ["Float", "Number", "checks_its_arguments"]

# A number, or a tensor with one number for each run of a batch.
Number = int | float | Tensor

F = TypeVar("F", bound=Callable)


def checks_its_arguments(function: F) -> F:
    """Mark a public function that answers bad input with a ``ValueError`` of its own.

    The type checks of the tests then stand aside, and the tests see what a user would.
    """
    function.__no_type_check__ = True  # pyright: ignore[reportFunctionMemberAccess]
    return function
