"""Labels that look wrong, so that they are not blamed on the model: confident learning (Northcutt et al. 2021), by cleanlab."""

import numpy as np

from audit.debug.groups import told_features
from audit.records.debugging import LabelProblem
from audit.stats.cases import Evidence
from audit.tables import FloatArray, IntArray


def doubtful(evidence: Evidence, probabilities: FloatArray) -> IntArray | None:
    """Rows whose label looks wrong, the least probable first; `probabilities` `[n, classes]` must come from a model that did not learn
    these labels. None where a class has no example."""
    label = evidence.examples.label
    if len(np.unique(label)) < probabilities.shape[1]:
        return None
    from cleanlab.filter import find_label_issues

    found = find_label_issues(
        label, probabilities, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return np.asarray(found, dtype=np.int64)


def listed(evidence: Evidence, probabilities: FloatArray, rows: IntArray) -> tuple[LabelProblem, ...]:
    """The rows with the class that the model suggests."""
    examples, classes, table = evidence.examples, evidence.classes, evidence.groups[evidence.composites[0]]
    told = told_features(evidence)
    return tuple(
        LabelProblem(
            id=str(examples.id[i]),
            label=classes[int(examples.label[i])],
            suggested=classes[int(examples.predicted[i])],
            probability=float(probabilities[i, examples.label[i]]),
            probability_suggested=float(probabilities[i, examples.predicted[i]]),
            relies={
                name: round(float(share), 3)
                for name, share in zip(table.names, table.share[i], strict=True)
                if np.isfinite(share) and name in told
            },
        )
        for i in rows.tolist()
    )
