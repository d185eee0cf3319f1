"""The one exception that a user of aeroact is meant to read."""


class AeroactError(Exception):
    """Bad input, or something that could not be done.

    The message is one line that names the file, the variable and what to do.
    A command prints it on standard error and exits with status 1.
    """
