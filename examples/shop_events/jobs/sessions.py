"""Sessions and funnels of the days that have changed. Not for: dashboards of the last minutes."""

from datetime import UTC, datetime
from pathlib import Path

from penstock import Job

_CHANGED = Path(__file__).with_name("changed_days.sql").read_text(encoding="utf-8")
_SESSIONS = Path(__file__).with_name("sessions.sql").read_text(encoding="utf-8")


def run(job: Job) -> None:
    """Make the sessions of these days anew; the same again changes nothing."""
    warehouse = job.connect("warehouse")
    # A worker's transaction may end later than its events' time: an hour is looked at again.
    since = job.cursor(
        "sessions", column="processed_at", initial=datetime(1970, 1, 1, tzinfo=UTC), overlap="1h"
    )
    changed = warehouse.read(_CHANGED, since=since)
    job.drop(changed, because="it only says which days have changed")
    if changed.is_empty():
        return
    low, high = changed["low"][0], changed["high"][0]
    sessions = warehouse.read(_SESSIONS, params={"low": low, "high": high})
    loaded = warehouse.load(
        sessions,
        "user_sessions",
        mode="replace_range",
        within={"day": f"{low}..{high}"},
        allow_shrink=True,
    )
    job.catch(loaded)
