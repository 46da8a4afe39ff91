"""A downstream task beside a contrastive problem, and the verdict on sample complexities."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ... import DeepLinear, measure, problems, theory
from ..._core import CHAIN, epsilons, frobenius
from ...claims import Offers, Verdict
from .._common import RECORDS, Run, Task, carried, flow, judge_layers


class Probing(eqx.Module):
    """A network to train, and the downstream task that its layers are probed on."""

    task: Task
    downstream: problems.Downstream

    @property
    def label(self) -> str:
        return f"{self.task.label}"

    def shrinks(self) -> Offers:
        """Simpler problems: one layer less, which leaves the downstream task as it is."""
        t = self.task
        if t.depth > 2:
            yield lambda: Probing(
                Task(t.moments, t.key, t.scale, t.sizes[:-1], t.stiff), self.downstream
            )


@eqx.filter_jit
def judge_logarithms(
    prediction: theory.layers.LayerPrediction, run: Run, downstream: problems.Downstream
) -> Verdict:
    r"""Verdict on the logarithms of the sample complexities, layer by layer.

    The tolerances of the Grams are carried to $\ln \mathrm{SC}_l$ as measured. A relative error
    $\epsilon$ of $M_l$ in the Frobenius norm moves $\mathrm{tr}(M S')$ by at most
    $\epsilon \|M\| \|S'\|$, and $\beta^\top M^{-1} \beta$ by at most
    $\epsilon \|M\| \|M^{-1} \beta\|^2 / (1 - \epsilon \|M\| \|M^{-1}\|)$.
    """
    law = judge_layers(prediction, run)

    def sensitivity(gram: Array, relative: Array) -> Array:
        values, v = jnp.linalg.eigh(gram)
        least = jnp.maximum(values[0], jnp.finfo(values.dtype).tiny)
        along = jnp.sum(v * downstream.target[:, None], axis=0)
        norm = frobenius(gram)
        steep = jnp.sum((along / jnp.maximum(values, least)) ** 2) / jnp.sum(
            along**2 / jnp.maximum(values, least)
        )
        left = 1 - relative * norm / least
        return norm * (
            frobenius(downstream.second) / jnp.sum(gram * downstream.second)
            + steep / jnp.where(left > 0, left, 0)
        )

    # Singular vectors of a layer err by its rounding over its least singular value: by the root
    # of the condition number of the Gram.
    spectra = jnp.linalg.eigvalsh(prediction.grams)
    least = jnp.maximum(spectra[:, 0], jnp.finfo(spectra.dtype).tiny)
    predicted = jnp.log(theory.downstream.sample_complexity(prediction.grams, downstream))
    measured = jnp.log(measure.sample_complexity(run.fine.final, downstream))
    return carried(
        law,
        jnp.abs(measured - predicted),
        jax.vmap(sensitivity)(prediction.grams, jnp.asarray(law.tolerance)),
        effect=law.effect,
        predicted=predicted,
        measured=measured,
        what="logarithm of the indicator",
        rounding=epsilons(CHAIN * spectra.shape[-1], spectra.dtype)
        * jnp.sqrt(spectra[:, -1] / least),
    )


def train_probing(problem: Probing, start: DeepLinear | None = None) -> Run:
    """Gradient flow with `RECORDS` save times.

    The claims on dynamics record as often, so that one compiled program trains the networks of all.
    """
    return flow(
        problem.task.start() if start is None else start, problem.task.moments, save_at=RECORDS
    )
