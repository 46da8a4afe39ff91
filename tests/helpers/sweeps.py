"""A specification of a sweep, and what a store has."""

SPEC = """
[problem]
strength = [2.0, 1.0]
noise = [1.0, 0.2]
[network]
depth = 2
scale = 0.5
[axes]
"noise[0]" = { from = 0.1, to = 2.0, count = 8, spacing = "linear" }
seed = 16
[train]
method = "descent"
learning_rate = 0.02
steps = 40
[measure]
quantities = ["weights", "loss"]
"""


def arrays(folder):
    """Bytes of every array of a store."""
    import zarr

    root = zarr.open_group(folder, mode="r")
    return {name: array[:].tobytes() for name, array in root.arrays()}
