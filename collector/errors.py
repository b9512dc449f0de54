"""The exceptions of mirrorproof: few, and chosen by what the caller does with them."""


class MirrorproofError(Exception):
    """Something mirrorproof was asked to do cannot be done.

    The message is one line for a person: what, where, and what to do about it. It never
    holds a secret. Commands print it on standard error and exit with `exit_status`.
    """

    exit_status = 2


class UsageError(MirrorproofError):
    """The command, a setting or a policy is wrong; nothing was started."""


class Refused(UsageError):
    """A server refuses us; other credentials, certificates or rights are needed."""


class InputError(MirrorproofError):
    """An input file cannot be read, or holds nothing that can be used."""


class Retryable(MirrorproofError):
    """A server did not answer or refused for now; trying again may help."""


class RowRefused(MirrorproofError):
    """The database does not take a row, now or later; the others it would take."""


class DatabaseAway(Retryable):
    """The database did not answer, or refused for now."""


class Locked(DatabaseAway):
    """Another transaction keeps what we need, for longer than we wait."""


class Fenced(MirrorproofError):
    """Another process owns this work now; what was in hand is rolled back and dropped."""


class Outdated(MirrorproofError):
    """What is in hand was read by policies that others judge no longer by: it is read again."""
