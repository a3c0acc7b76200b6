"""Re-initialised twins as a reference: what the same network shows that has learned nothing, because content alone moves relevance."""

import numpy as np
from pydantic import JsonValue
from scipy import stats

from audit.tables import FloatArray


def referenced(value: float, twins: FloatArray) -> tuple[float | None, float | None]:
    """Two-sided p, and t, of `value` being one more draw of what the `twins` `[k]` are draws of.

    Student's t with k - 1 degrees of freedom on (value - mean) / (sd sqrt(1 + 1/k)): the prediction interval of a normal
    sample. Twins that are NaN are left out; None with fewer than 2, or if they are all equal and `value` is another.
    """
    known = twins[np.isfinite(twins)]
    if len(known) < 2 or not np.isfinite(value):
        return None, None
    if np.ptp(known) == 0:
        return (1.0, 0.0) if value == known[0] else (None, None)
    t = float((value - known.mean()) / (known.std(ddof=1) * np.sqrt(1 + 1 / len(known))))
    return float(2 * stats.t.sf(abs(t), len(known) - 1)), t


def leave_one_out(twins: FloatArray) -> FloatArray:
    """p of each of the `twins` `[k]` referenced to the others: how often no difference would be called one; NaN if none."""
    found = [referenced(float(value), np.delete(twins, i))[0] for i, value in enumerate(twins)]
    return np.array([np.nan if p is None else p for p in found])


def twin_details(p: float | None, t: float | None, twins: FloatArray) -> dict[str, JsonValue]:
    """What the record keeps of a reference: p, t, the twins' values, and how many of them it would flag."""
    alone, known = leave_one_out(twins), twins[np.isfinite(twins)]
    return {
        "p of the reference": p,
        "t of the reference": t,
        "twins": known.tolist(),
        "twins flagged at .05 by the others": int((alone <= 0.05).sum()),
    }
