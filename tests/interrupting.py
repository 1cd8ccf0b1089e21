"""What ends in the midst of its work."""


def after(calls, end):
    """A decorator whose functions count their calls together; each one after so many calls `end` first."""
    count = 0

    def counted(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count > calls:
                end()
            return function(*args, **kwargs)

        return call

    return counted
