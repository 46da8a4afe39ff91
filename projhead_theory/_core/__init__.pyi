from . import checks
from .crossing import first_crossing
from .enumeration import name_of
from .errors import bad, unknown
from .keys import named
from .linalg import (
    Whitening,
    diagonal,
    eigh,
    frobenius,
    matmul,
    nonzero,
    psd_power,
    symmetric,
)
from .powers import gram_powers, layer_powers, layer_shares
from .tolerance import (
    CHAIN,
    SHORT,
    SOLVED,
    epsilons,
    gram_rounding,
    outputs_rounding,
    power_rounding,
    product_rounding,
    solver_tolerance,
)

__all__ = [
    "CHAIN",
    "SHORT",
    "SOLVED",
    "Whitening",
    "bad",
    "checks",
    "diagonal",
    "eigh",
    "epsilons",
    "first_crossing",
    "frobenius",
    "gram_powers",
    "gram_rounding",
    "layer_powers",
    "layer_shares",
    "matmul",
    "name_of",
    "named",
    "nonzero",
    "outputs_rounding",
    "power_rounding",
    "product_rounding",
    "psd_power",
    "solver_tolerance",
    "symmetric",
    "unknown",
]
