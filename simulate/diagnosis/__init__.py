"""Whether your own network trains lazily, whether it will grok, when, and why.

``lazy_curve`` gives the training curves of the linearised network without training; ``diagnose``
puts them next to the kernel, the labels, and a forecast.
"""

from lazyrich.simulate.diagnosis.answer import Diagnosis
from lazyrich.simulate.diagnosis.curve import lazy_curve
from lazyrich.simulate.diagnosis.diagnose import diagnose

__all__ = ["Diagnosis", "diagnose", "lazy_curve"]
