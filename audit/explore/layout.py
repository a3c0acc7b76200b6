"""Where explanations lie on a flat map: t-SNE (van der Maaten and Hinton 2008) of the principal components of where their evidence lies.

Neighbours stay neighbours; distances between far clusters and their sizes on the map say nothing. Cost: some seconds for 2,000 examples.
"""

from typing import Final

import numpy as np

from audit.tables import FloatArray

FLAT: Final = 2
FEWEST: Final = 10  # examples, below which the embedding itself is the map
SEED: Final = 0
STEPS: Final = 500
NEAR: Final = 30.0  # perplexity: about how many neighbours count


def layout(embedding: FloatArray) -> FloatArray:
    """Places `[k, 2]` of examples that are embedded in `[k, d]`; the same for the same input."""
    k, d = embedding.shape
    if d <= FLAT or k < FEWEST or not embedding.std(axis=0).any():
        return np.column_stack([embedding, np.zeros((k, FLAT))])[:, :FLAT]
    from sklearn.manifold import TSNE

    near = min(NEAR, (k - 1) / 3)
    found = TSNE(FLAT, perplexity=near, init="pca", max_iter=STEPS, random_state=SEED, n_jobs=1).fit_transform(
        embedding
    )
    return np.asarray(found, dtype=float)
