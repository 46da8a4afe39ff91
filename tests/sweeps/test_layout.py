"""The grid of runs, cut into batches and chunks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.sweeps._layout import Layout

AXES = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=4)


def layout(axes, batch_size, chunk_size):
    shape, by_shape = zip(*axes, (3, False), strict=True)
    return Layout.of(shape, by_shape, batch_size, chunk_size)


def batches(cut):
    """Batches of all chunks, as tuples of starts and ends."""
    return [
        tuple((part.start, part.stop) for part in batch)
        for chunk in range(cut.chunks)
        for batch in cut.batches(cut.block(chunk))
    ]


@given(AXES, st.integers(1, 40), st.integers(1, 200))
def test_every_run_is_in_one_batch(axes, batch_size, chunk_size):
    cut, times = layout(axes, batch_size, chunk_size), 0
    seen = np.zeros(cut.shape, int)
    for chunk in range(cut.chunks):
        for batch in cut.batches(cut.block(chunk)):
            seen[batch] += 1
            times += 1
            lengths = [part.stop - part.start for part in batch]
            assert np.prod(lengths) <= cut.runs_in_batch <= batch_size
            assert all(n == 1 for n, s in zip(lengths, cut.by_shape, strict=True) if s)
            assert len(cut.places(batch)[0]) == np.prod(lengths)
    assert (seen == 1).all()


@given(AXES, st.integers(1, 40), st.integers(1, 200), st.integers(1, 200))
def test_batches_do_not_depend_on_chunks(axes, batch_size, one, other):
    cuts = [batches(layout(axes, batch_size, size)) for size in (one, other)]
    assert sorted(cuts[0]) == sorted(cuts[1])


@given(AXES, st.integers(1, 40), st.integers(1, 200))
def test_a_chunk_is_no_larger_than_asked(axes, batch_size, chunk_size):
    cut = layout(axes, batch_size, chunk_size)
    assert cut.runs_in_chunk <= max(chunk_size, cut.runs_in_batch)
