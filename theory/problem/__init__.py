"""What the theory says about a network and a target that the user describes."""

from lazyrich.theory.problem.description import Problem

__all__ = ["Problem"]
