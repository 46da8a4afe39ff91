"""The layer-wise law on real data: views of scikit-learn's handwritten digits.

The 1,797 images have 8 x 8 pixels and need no download. A view is the digit shifted by at most one
pixel, with pixels masked and noise added, so the cross and the second moment do not commute. The
views go to an npz file. The closed form on their empirical moments is compared with networks
trained on these views, at depths 2 and 3, with the width below the rank.

Run: python examples/digits.py [--quick] [--output FILE.npz] [--copies N] [--width N] [--seed N]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def view(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Draw one view of every image.

    The image is shifted by -1, 0 or 1 pixel each way (zeros come in), a tenth of its pixels is
    masked, and noise is added.
    """
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    corner = rng.integers(0, 3, size=(len(images), 2))
    rows = corner[:, :1, None] + np.arange(8)[None, :, None]
    columns = corner[:, 1:, None] + np.arange(8)[None, None, :]
    shifted = padded[np.arange(len(images))[:, None, None], rows, columns]
    masked = shifted * (rng.random(shifted.shape) > 0.1)
    return (masked + 0.1 * rng.standard_normal(masked.shape)).reshape(len(images), 64)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="depth 2 only, on fewer views")
    parser.add_argument("--output", metavar="FILE.npz", help="keep the views in this file")
    parser.add_argument(
        "--copies", type=int, default=10, help="pairs of views an image (default 10)"
    )
    parser.add_argument("--width", type=int, default=5, help="width of every layer (default 5)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        print(
            "digits.py: scikit-learn is not installed; want: pip install scikit-learn",
            file=sys.stderr,
        )
        return 2

    images = load_digits().images / 16
    images = np.repeat(
        images - images.mean(axis=0), 1 if arguments.quick else arguments.copies, axis=0
    )
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(arguments.output or f"{folder}/digits.npz")
        np.savez_compressed(path, x1=view(rng, images), x2=view(rng, images))
        print(f"{len(images)} pairs of views of {images[0].size} pixels in {path.name}", flush=True)
        status = 0
        for depth in (2,) if arguments.quick else (2, 3):
            command = [
                "verify",
                "--views",
                str(path),
                "--depth",
                str(depth),
                "--width",
                str(arguments.width),
            ]
            status = max(
                status,
                subprocess.run([sys.executable, "-m", "projhead_theory.cli", *command]).returncode,
            )
    return status


if __name__ == "__main__":
    sys.exit(main())
