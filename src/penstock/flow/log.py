"""The log of a run: one JSON object a line, secrets left out. Not for: the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.flow.running import JobResult
from penstock.ledger.flows import FlowRun
from penstock.model.secret import Secret
from penstock.project.environment import Environment


class RunLog:
    """`logs/DATE-FLOW-RUN.jsonl`.

    Args:
        folder: Of the logs.
        run: The run.
        env: Its environment; its secrets are never written.
    """

    def __init__(self, folder: Path, run: FlowRun, env: Environment) -> None:
        name = run.flow.rpartition("/")[2]
        day = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.path = folder / f"{day}-{name}-{run.run_id[:8]}.jsonl"
        self._about = {"run": run.run_id, "flow": run.flow, "environment": env.name}
        self._secrets = [text for text in _secrets(env) if len(text) > 3]
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, event: str, **more: Any) -> None:
        """Write one event, at once."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
        text = json.dumps({"time": stamp, "event": event, **self._about, **more}, default=str)
        for secret in self._secrets:
            text = text.replace(json.dumps(secret)[1:-1], "***")
        self._file.write(text + "\n")
        self._file.flush()

    def job(self, result: JobResult) -> None:
        """What became of a job, with the trace of an error in its code."""
        record = result.record
        self.write(
            "job",
            job=record.job,
            status=record.status,
            seconds=round(result.seconds, 3),
            extracted=record.extracted,
            loaded=record.loaded,
            rejected=record.rejected,
            dropped=record.dropped,
            loads=result.loads,
            error=record.error,
            trace=result.trace or None,
        )

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _secrets(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _secrets(one)
