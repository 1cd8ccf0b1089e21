"""The one kind of error that a user's input may cause."""


class UserError(Exception):
    """One line that says what is wrong, where (file, line or flag) and how to mend it.

    Recipes print it as `error: …` and end with exit code 2; it never shows a traceback.
    """


class ExclusiveSettingsError(UserError):
    """Settings of which each can be meant, but not all together."""


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
