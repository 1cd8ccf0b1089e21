"""Where a fast path cannot be taken, the plain one is, and says so."""

import functools
import warnings


@functools.cache
def warn_once(message: str) -> None:
    """A warning that comes once in a program, however often its cause is met."""
    warnings.warn(message, stacklevel=2)
