"""Layout of a sweep: the grid of its runs, cut into chunks of whole batches."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Block = tuple[slice, ...]


@dataclass(frozen=True)
class Layout:
    """Grid of runs, in batches that are trained together and chunks that are written together.

    A run has one number, its place in the grid in row-major order. Which runs share a batch follows
    from the grid alone, so the numbers that a run returns do not depend on chunks.

    - `shape`: length of every axis, the seeds last.
    - `by_shape`: for each axis, true if its values change shapes; no batch spans two of them.
    - `batch_size`: the most runs of a batch.
    - `chunk`: length of a chunk along every axis.
    """

    shape: tuple[int, ...]
    by_shape: tuple[bool, ...]
    batch_size: int
    chunk: tuple[int, ...]

    @classmethod
    def of(
        cls, shape: tuple[int, ...], by_shape: tuple[bool, ...], batch_size: int, chunk_size: int
    ) -> "Layout":
        """Layout with chunks of at most `chunk_size` runs, or of one batch if that is larger."""
        batch = _batch(shape, by_shape, batch_size)
        chunk = list(batch)
        for axis in reversed(range(len(shape))):
            if by_shape[axis]:
                continue
            room = chunk_size * chunk[axis] // math.prod(chunk)
            chunk[axis] = min(shape[axis], max(batch[axis], room // batch[axis] * batch[axis]))
            if chunk[axis] < shape[axis]:
                break
        return cls(shape, by_shape, batch_size, tuple(chunk))

    @property
    def runs(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def batch(self) -> tuple[int, ...]:
        """Length of a batch along every axis."""
        return _batch(self.shape, self.by_shape, self.batch_size)

    @property
    def runs_in_batch(self) -> int:
        return math.prod(self.batch)

    @property
    def runs_in_chunk(self) -> int:
        return math.prod(self.chunk)

    @property
    def chunk_grid(self) -> tuple[int, ...]:
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    @property
    def chunks(self) -> int:
        return math.prod(self.chunk_grid)

    def block(self, chunk: int) -> Block:
        """Part of the grid that a chunk covers."""
        place = np.unravel_index(chunk, self.chunk_grid)
        return tuple(
            slice(int(i) * c, min((int(i) + 1) * c, n))
            for i, c, n in zip(place, self.chunk, self.shape, strict=True)
        )

    def batches(self, block: Block) -> Iterator[Block]:
        """Batches of a block; those at the end of an axis may be smaller than the others."""
        starts = (
            range(part.start, part.stop, step) for part, step in zip(block, self.batch, strict=True)
        )
        for corner in itertools.product(*starts):
            yield tuple(
                slice(i, min(i + step, part.stop))
                for i, step, part in zip(corner, self.batch, block, strict=True)
            )

    def places(self, block: Block) -> tuple[np.ndarray, ...]:
        """Index along every axis of the runs of a block, in row-major order."""
        lengths = [range(part.start, part.stop) for part in block]
        return tuple(x.ravel() for x in np.meshgrid(*lengths, indexing="ij"))


def _batch(shape: tuple[int, ...], by_shape: tuple[bool, ...], batch_size: int) -> tuple[int, ...]:
    """Whole last axes and a part of the next; parts of one axis are of nearly equal length."""
    batch, room = [1] * len(shape), batch_size
    for axis in reversed(range(len(shape))):
        if by_shape[axis]:
            continue
        pieces = -(-shape[axis] // max(room, 1))
        batch[axis] = -(-shape[axis] // pieces)
        room = room // shape[axis] if pieces == 1 else 1
    return tuple(batch)
