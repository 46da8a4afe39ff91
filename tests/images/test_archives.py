"""Archives in their published formats, and files that are not."""

import gzip
import struct

import numpy as np
import pytest

import projhead_theory as pt

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 28, 28)).astype(np.uint8)
LABELS = np.asarray([3, 0, 9, 2, 2, 8], np.uint8)
LOADERS = {"MNIST": pt.images.mnist, "Fashion-MNIST": pt.images.fashion_mnist}


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def archive(folder, images=None, labels=None, compressed=True, part="train"):
    """An archive of IDX files, or of what is given in place of them."""
    files = {
        f"{part}-images-idx3-ubyte": idx(PIXELS) if images is None else images,
        f"{part}-labels-idx1-ubyte": idx(LABELS) if labels is None else labels,
    }
    for name, data in files.items():
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", LOADERS)
def test_idx_files_are_read_as_they_are(tmp_path, name, compressed):
    found = LOADERS[name](archive(tmp_path, compressed=compressed))
    assert np.array_equal(np.asarray(found.pixels)[..., 0], PIXELS)
    assert np.asarray(found.labels).tolist() == LABELS.tolist()
    assert (found.classes, found.shape) == (10, (28, 28, 1))


def test_test_images_are_another_file(tmp_path):
    assert len(pt.images.mnist(archive(tmp_path, part="t10k"), train=False)) == 6


def test_superclasses_of_fashion_mnist_have_whole_classes(tmp_path):
    found = pt.images.fashion_mnist(archive(tmp_path))
    assert np.asarray(found.coarse).tolist() == [1, 0, 2, 0, 0, 3]


BROKEN = {
    "truncated": ({"images": idx(PIXELS)[:-5]}, "cut short: 4,699 of 4,704 bytes"),
    "longer": ({"images": idx(PIXELS) + b"x"}, "4,705 bytes where its header says 4,704"),
    "empty": ({"labels": b"", "compressed": False}, "which is empty"),
    "another format": ({"images": idx(LABELS)}, "no IDX file of bytes in 3 dimensions"),
    "wrong class": ({"labels": idx(LABELS + np.uint8(4))}, "class 13 of 10 for image 2"),
    "other length": ({"labels": idx(LABELS[:5])}, "5 labels in train-labels-idx1-ubyte.gz"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_idx_file_is_told_in_a_line(tmp_path, case):
    given, wanted = BROKEN[case]
    with pytest.raises(ValueError, match=wanted) as error:
        pt.images.mnist(archive(tmp_path, **given))
    assert "\n" not in str(error.value)
    assert "https://" in str(error.value)


@pytest.mark.parametrize("cut", [30, -30])
def test_a_corrupt_gzip_is_told(tmp_path, cut):
    archive(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    data = bytearray(file.read_bytes()[:cut] if cut > 0 else file.read_bytes())
    data[cut // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="cannot be read"):
        pt.images.mnist(tmp_path)


@pytest.mark.parametrize("folder", ["", "absent"])
def test_a_missing_file_names_its_source(tmp_path, folder):
    with pytest.raises(ValueError, match=r"dataset-fashion-mnist or https://"):
        pt.images.fashion_mnist(tmp_path / folder)


COLOURS = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)


def cifar_rows(labels):
    """Rows of label bytes and of the red, green and blue planes."""
    planes = COLOURS.transpose(0, 3, 1, 2).reshape(4, -1)
    return np.concatenate([np.asarray(labels, np.uint8), planes], axis=1).tobytes()


def ten(folder, rows=None):
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / f"{name}.bin").write_bytes(cifar_rows([[1], [9], [0], [5]]))
    if rows is not None:
        (folder / "data_batch_3.bin").write_bytes(rows)
    return folder


def hundred(folder, labels=((0, 7), (19, 99), (0, 7), (3, 50))):
    (folder / "train.bin").write_bytes(cifar_rows(labels))
    return folder


def test_cifar_10_is_read_as_it_is(tmp_path):
    inner = tmp_path / "cifar-10-batches-bin"
    inner.mkdir()
    ten(inner)
    for folder in (tmp_path, inner):
        found = pt.images.cifar10(folder)
        assert len(found) == 20
        assert np.array_equal(found.pixels[:4], COLOURS)
    test = pt.images.cifar10(tmp_path, train=False)
    assert np.asarray(test.labels).tolist() == [1, 9, 0, 5]


def test_cifar_100_has_both_labels(tmp_path):
    found = pt.images.cifar100(hundred(tmp_path))
    assert np.array_equal(found.pixels, COLOURS)
    assert np.asarray(found.labels).tolist() == [7, 99, 7, 50]
    assert np.asarray(found.coarse).tolist() == [0, 19, 0, 3]
    assert np.asarray(found.superclasses().labels).tolist() == [0, 19, 0, 3]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (cifar_rows([[1], [9], [0], [5]])[:-1], "no multiple of the 3,073"),
        (b"", "data_batch_3.bin, which is empty"),
        (cifar_rows([[1], [10], [0], [5]]), "class 10 of 10 for image 1"),
    ],
)
def test_a_broken_cifar_10_is_told(tmp_path, rows, wanted):
    with pytest.raises(ValueError, match=wanted):
        pt.images.cifar10(ten(tmp_path, rows))


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (((0, 7), (20, 99), (0, 7), (3, 50)), "class 20 of 20 for image 1"),
        (((0, 7), (1, 99), (2, 7), (3, 50)), "class 7 is in two superclasses"),
    ],
)
def test_a_corrupt_cifar_100_is_told(tmp_path, labels, wanted):
    with pytest.raises(ValueError, match=wanted):
        pt.images.cifar100(hundred(tmp_path, labels))


def test_pickled_cifar_is_not_read(tmp_path):
    (tmp_path / "train").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"without train.bin; want the binary version"):
        pt.images.cifar100(tmp_path)
