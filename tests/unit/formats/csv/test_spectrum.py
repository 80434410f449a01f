"""csv-spectrum: every file equals its JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from penstock.formats.csv.reader import CsvReader
from penstock.model.batch import LINE, ROW
from penstock.model.options import CsvOptions

_FOLDER = Path(__file__).parents[5] / "shared/data/csv_torture/csv-spectrum"
_NAMES = (
    *("comma_in_quotes", "empty", "empty_crlf", "escaped_quotes", "json", "newlines"),
    *("newlines_crlf", "quotes_and_newlines", "simple", "simple_crlf", "utf8"),
)


@pytest.mark.skipif(not _FOLDER.is_dir(), reason="csv-spectrum lies beside the repository or not")
@pytest.mark.parametrize("name", _NAMES)
def test_every_file_equals_its_json(name: str) -> None:
    data = (_FOLDER / "csvs" / f"{name}.csv").read_bytes()
    if name.endswith("_crlf"):  # what is stored has lost its CRLF
        data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    rows = []
    for batch in CsvReader(io.BytesIO(data), CsvOptions()).batches():
        assert not batch.malformed
        rows += batch.frame.drop(ROW, LINE).to_dicts()
    assert rows == json.loads((_FOLDER / "json" / f"{name}.json").read_text("utf-8"))
