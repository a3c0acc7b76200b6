"""The table of examples of a finished run, as columns."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audit.errors import OutputError
from audit.store.manifest import altered, refusal

TABLE: Final = "examples.parquet"
ROWS: Final = 20_000  # of a part of it: whoever wants one example reads one part
LOST: Final = "is missing"


def load_examples(run: Path) -> dict[str, NDArray[Any]] | None:
    """Columns `[n]` of `examples.parquet`; None where a run no longer has it, `OutputError` where it is not as the run wrote it."""
    import pandas as pd

    broken = [each for each in altered(run) if each.file == TABLE]
    if any(each.what == LOST for each in broken):
        return None
    if broken:
        raise OutputError(refusal(broken))
    if not (run / TABLE).is_file():
        return None
    try:
        frame = pd.read_parquet(run / TABLE)
    except (OSError, ValueError) as error:
        raise OutputError(f"{run / TABLE}: cannot be read ({error})") from None
    return columns_of(frame)


def columns_of(frame: Any) -> dict[str, NDArray[Any]]:
    """The columns of a pandas frame; text and mixed ones as objects."""
    return {str(name): np.asarray(frame[name].to_numpy()) for name in frame.columns}
