"""What a load reads: files, streams and Polars frames, each able to be read again.

Not for: how a format is read (`formats`), nor matching columns (`columns`).
"""

from __future__ import annotations

from penstock.loading.inputs.frames import FrameInput
from penstock.loading.inputs.open import inputs_of
from penstock.loading.inputs.protocol import Input, Origin
from penstock.loading.inputs.stored import CsvInput

__all__ = ["CsvInput", "FrameInput", "Input", "Origin", "inputs_of"]
