"""Every error that Penstock raises on purpose, in one tree.

::

    PenstockError                 exit code, retryable, code
    ├── UsageError                2: the call is wrong; nothing was tried
    ├── SourceError               1: an input cannot be read as declared
    ├── TargetError               1: the table or the role cannot take the load
    ├── LoadError                 1: the load was rolled back; nothing changed
    │   ├── BudgetExceeded        more rows refused than allowed
    │   ├── ShrinkRefused         the input would leave less than half of the table
    │   └── BalanceError          the books of the load do not balance
    ├── ConnectorError            1: an outside system cannot be reached, refuses or fails
    └── TryAgain                  75: locked, busy or cut off; nothing changed

What differs is an attribute, not a class: `code` is an SQLSTATE or a rule name.
Not for: bad rows. A bad row is a value (`penstock.loading.spool`), never an exception.
"""

from __future__ import annotations


class PenstockError(Exception):
    """Something that a person can mend; the message says what, where and how.

    Attributes:
        message: One or more plain sentences, without secrets.
        code: An SQLSTATE (five characters) or a rule name; empty when neither fits.
        exit_code: What the command line answers (2 wrong use, 1 failed, 75 try again).
        retryable: True when the same call may succeed later without a change.
    """

    exit_code = 1
    retryable = False

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by message and code, so that errors cross process borders."""
        return (_rebuild, (type(self), self.message, self.code))


def _rebuild(kind: type[PenstockError], message: str, code: str) -> PenstockError:
    return kind(message, code=code)


class UsageError(PenstockError):
    """The call is wrong: an unknown option, column or table name; nothing was tried."""

    exit_code = 2


class SourceError(PenstockError):
    """An input cannot be read as declared: missing, empty, truncated, wrongly encoded."""


class TargetError(PenstockError):
    """The target cannot take the load: no such table, a view, a missing right."""


class LoadError(PenstockError):
    """The load was rolled back as a whole; the table is as it was before.

    Attributes:
        run_id: The run in the ledger, where what was refused is kept; empty without a ledger.
    """

    run_id = ""


class BudgetExceeded(LoadError):
    """More rows were refused than the reject budget allows; the load was rolled back."""


class ShrinkRefused(LoadError):
    """The input would leave less than half of the table; the load was rolled back."""


class BalanceError(LoadError):
    """The books do not balance: rows read and rows accounted for differ; rolled back."""


class ConnectorError(PenstockError):
    """An outside system cannot be reached, refuses, or answers what it should not.

    Attributes:
        advice: What to do about it; may be empty.
    """

    def __init__(self, message: str, *, code: str = "", advice: str = "") -> None:
        super().__init__(message, code=code)
        self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the advice too."""
        return (_rebuild_connector, (self.message, self.code, self.advice))


def _rebuild_connector(message: str, code: str, advice: str) -> ConnectorError:
    return ConnectorError(message, code=code, advice=advice)


class BeginsAnew(Exception):
    """A load that is rolled back and begun once more at once: nobody need be told."""


class TryAgain(PenstockError):
    """Locked, busy or cut off: nothing changed, and the same call may succeed later."""

    exit_code = 75
    retryable = True
