"""Laws for the systems of Lyu et al.: their evidence is in ``verify.lyu``, whose runs it shares.

Importing these modules attaches it.
"""

from lazyrich.verify.lyu import deep, laws, oracles, transition

MODULES = (deep, laws, oracles, transition)
