"""lazyrich: the theory of grokking as the transition from lazy to rich training.

``from lazyrich import theory`` derives, ``simulate`` runs the networks, ``verify`` holds the two
against each other and against the papers. Importing this package loads neither SymPy nor torch.
"""

import pkgutil
from importlib.metadata import version

# In a checkout the folder lazyrich/ holds only the front door, and Python started there would
# find no lazyrich.theory: look for the subpackages in the installed package as well.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = version("lazyrich")
