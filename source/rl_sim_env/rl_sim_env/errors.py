"""The one exception type whose message is meant for the user as it stands."""


class UserError(Exception):
    """A mistake in the input or the surroundings, told in one line.

    The message names what is wrong, where, and what to do about it. Command line programs print it
    without a traceback and exit with status 2.
    """
