"""Where a fast path cannot be taken, the plain one is, and says so."""

import functools
import warnings


def works(reason: str | None, message: str) -> bool:
    """True where there is no `reason` against a fast path; else False, and `message` and the reason are said once."""
    if reason:
        warn_once(f"{message} {reason}")
    return reason is None


@functools.cache
def warn_once(message: str) -> None:
    """A warning that comes once in a program, however often its cause is met."""
    warnings.warn(message, stacklevel=3)
