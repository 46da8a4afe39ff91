"""Intervals of means by Student's t distribution."""

import numpy as np
from jaxtyping import Float


def half_width(values: Float[np.ndarray, "*b n"], probability: float) -> Float[np.ndarray, "*b"]:
    r"""Half the width of an interval of the mean over the last axis.

    $$t_{n-1}(p)\, s / \sqrt n$$

    **Arguments:**

    - `values`: independent values, nearly normal.
    - `probability`: $p$, the probability of the quantile; $(1 + c) / 2$ for an interval of two
      sides with confidence $c$.
    """
    from scipy import stats

    count = values.shape[-1]
    deviation = np.asarray(values.std(axis=-1, ddof=1))
    return np.asarray(stats.t.ppf(probability, count - 1) * deviation / count**0.5)
