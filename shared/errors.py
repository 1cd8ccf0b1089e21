"""The kinds of ending that a user can do something about."""


class UserError(Exception):
    """One line that says what is wrong, where (file, line or flag) and how to mend it.

    Recipes print it as `error: …` and end with exit code 2; it never shows a traceback.
    """


class ExclusiveSettingsError(UserError):
    """Settings of which each can be meant, but not all together."""


class Interrupted(BaseException):
    """One line that says what stands after the signal of this `number`, and how to go on.

    Recipes print it and end with the exit code that shells give to a signal: 130 for SIGINT, 143 for SIGTERM. As
    KeyboardInterrupt, it passes by whoever catches errors.
    """

    def __init__(self, number: int, line: str):
        super().__init__(line)
        self.number = number


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
