"""Archives of images in their published binary formats. No pickle is ever read."""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._core import checks
from ._data import Images

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Folder of Debian's package dataset-fashion-mnist."""

FASHION_SUPERCLASSES = (0, 1, 0, 1, 0, 2, 0, 2, 3, 2)
"""Tops; trousers and dresses; shoes; bags."""

_WHERE = {
    "MNIST": "the four IDX files of MNIST, such as train-images-idx3-ubyte.gz, from "
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "Fashion-MNIST": "the four IDX files of Fashion-MNIST, such as train-images-idx3-ubyte.gz, "
    "from Debian's package dataset-fashion-mnist or "
    "https://github.com/zalandoresearch/fashion-mnist",
    "CIFAR-10": "the binary version of CIFAR-10 (cifar-10-binary.tar.gz, unpacked) from "
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    "CIFAR-100": "the binary version of CIFAR-100 (cifar-100-binary.tar.gz, unpacked) from "
    "https://www.cs.toronto.edu/~kriz/cifar.html",
}


def mnist(path: str | Path, *, train: bool = True) -> Images:
    """Load MNIST from its IDX files, plain or compressed by gzip.

    **Arguments:**

    - `path`: the folder that has the files.
    - `train`: load the 60,000 training images if True, the 10,000 test images if False.

    **Raises:** `ValueError` for a file that is missing, cut short or corrupt, that says what is
    wrong and where the files are found.
    """
    return _idx_images("MNIST", Path(path), train)


def fashion_mnist(path: str | Path | None = None, *, train: bool = True) -> Images:
    """Load Fashion-MNIST from its IDX files, with four superclasses.

    Superclasses are tops, trousers and dresses, shoes, and bags (ours: the data set has none).

    **Arguments:**

    - `path`: the folder that has the files; by default the one that Debian's package
      dataset-fashion-mnist fills.
    - `train`: as in `mnist`.

    **Raises:** `ValueError` as `mnist`.
    """
    images = _idx_images("Fashion-MNIST", FASHION_MNIST if path is None else Path(path), train)
    labels = np.asarray(images.labels)
    return Images(images.pixels, labels, 10, np.asarray(FASHION_SUPERCLASSES)[labels])


def cifar10(path: str | Path, *, train: bool = True) -> Images:
    """Load CIFAR-10 from its binary version.

    **Arguments:**

    - `path`: the folder `cifar-10-batches-bin`, or the one that it lies in.
    - `train`: load the five training batches if True, the test batch if False.

    **Raises:** `ValueError` for a file that is missing, cut short or corrupt, that says what is
    wrong and where the files are found.
    """
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
    labels, pixels = _cifar("CIFAR-10", Path(path), "cifar-10-batches-bin", names, 1)
    return Images(pixels, labels[:, 0], 10)


def cifar100(path: str | Path, *, train: bool = True) -> Images:
    """Load CIFAR-100 from its binary version, with its 20 superclasses.

    **Arguments:**

    - `path`: the folder `cifar-100-binary`, or the one that it lies in.
    - `train`: load the training images if True, the test images if False.

    **Raises:** `ValueError` as `cifar10`, or if a class is in two superclasses.
    """
    name = "train.bin" if train else "test.bin"
    labels, pixels = _cifar("CIFAR-100", Path(path), "cifar-100-binary", [name], 2)
    coarse, fine = labels[:, 0], labels[:, 1]
    pairs = np.unique(labels, axis=0)
    classes, counts = np.unique(pairs[:, 1], return_counts=True)
    if (counts > 1).any():
        raise checks.bad(
            "path",
            f"{name}, in which class {classes[np.argmax(counts)]} is in two superclasses",
            _WHERE["CIFAR-100"],
        )
    return Images(pixels, fine, 100, coarse)


def _idx_images(archive: str, folder: Path, train: bool) -> Images:
    part = "train" if train else "t10k"
    pixels, images = _idx(archive, folder, f"{part}-images", 3)
    labels, other = _idx(archive, folder, f"{part}-labels", 1)
    if len(labels) != len(pixels):
        raise checks.bad(
            "path",
            f"{len(labels)} labels in {other} beside {len(pixels)} images in {images}",
            _WHERE[archive],
        )
    _classes(archive, other, labels, 10)
    return Images(pixels, labels, 10)


def _idx(archive: str, folder: Path, stem: str, ndim: int) -> tuple[np.ndarray, str]:
    """The array in an IDX file of bytes, and the name of the file."""
    _folder(archive, folder)
    names = [f"{stem}{dot}idx{ndim}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise checks.bad("path", f"{folder} without {stem}-idx{ndim}-ubyte[.gz]", _WHERE[archive])
    path, wrong = found[0], lambda what: checks.bad("path", f"{path.name}, {what}", _WHERE[archive])
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" and data else data
    except (OSError, EOFError, zlib.error) as error:
        raise wrong(f"which cannot be read ({error})") from error
    if not data:
        raise wrong("which is empty")
    head = 4 + 4 * ndim
    if len(data) < head or data[:4] != bytes([0, 0, 8, ndim]):
        raise wrong(f"which is no IDX file of bytes in {ndim} dimensions")
    shape = struct.unpack(f">{ndim}I", data[4:head])
    size = math.prod(shape)
    if len(data) - head < size:
        raise wrong(f"which is cut short: {len(data) - head:,} of {size:,} bytes")
    if len(data) - head > size or size == 0:
        raise wrong(f"which has {len(data) - head:,} bytes where its header says {size:,}")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape), path.name


def _cifar(
    archive: str, path: Path, inner: str, names: Sequence[str], columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels `(n, columns)` and images of files of rows of labels and 32 x 32 x 3 bytes."""
    _folder(archive, path)
    folder = path / inner if (path / inner).is_dir() else path
    rows, size = [], columns + 3072
    for name in names:
        file = folder / name
        wrong = lambda what, name=name: checks.bad("path", f"{name}, {what}", _WHERE[archive])
        if not file.is_file():
            raise checks.bad("path", f"{folder} without {name}", _WHERE[archive])
        data = np.fromfile(file, np.uint8)
        if not data.size:
            raise wrong("which is empty")
        if data.size % size:
            raise wrong(
                f"which is cut short or corrupt: {data.size:,} bytes are no multiple of the "
                f"{size:,} of an image"
            )
        rows.append(data.reshape(-1, size))
        bounds = (10,) if columns == 1 else (20, 100)
        for column, bound in enumerate(bounds):
            _classes(archive, name, rows[-1][:, column], bound)
    table = np.concatenate(rows)
    pixels = table[:, columns:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return table[:, :columns], np.ascontiguousarray(pixels)


def _folder(archive: str, path: Path) -> None:
    if not path.is_dir():
        raise checks.bad("path", f"{path}, which is no folder", _WHERE[archive])


def _classes(archive: str, name: str, labels: np.ndarray, bound: int) -> None:
    if labels.max() >= bound:
        at = int(np.argmax(labels >= bound))
        raise checks.bad(
            "path", f"{name}, with class {labels[at]} of {bound} for image {at}", _WHERE[archive]
        )
