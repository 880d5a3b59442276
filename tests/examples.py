"""How many random examples a property gets where a single one takes over 50 ms of a quiet core.

Its corners are examples of their own: ``@example`` runs them each time.
"""

from hypothesis import settings

few = settings(max_examples=max(5, settings().max_examples * 2 // 5))
