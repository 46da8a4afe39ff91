from ._archives import cifar10, cifar100, fashion_mnist, mnist
from ._augmentations import Augmentation
from ._coarse_to_fine import coarse_to_fine
from ._data import AbstractImages, Images, Overlaid
from ._digit_on_photograph import digit_on_photograph
from ._encoders import AbstractEncoder, ConvNet, ResNet, resnet18, resnet32
from ._network import (
    AbstractProjection,
    FixedProjection,
    ImageNetwork,
    LinearProjection,
    MLPProjection,
    NoProjection,
    represent,
    represent_pairs,
)
from ._progress import Progress
from ._recipe import Recipe
from ._result import ImageExperiment, Interval, Outcome
from ._shift import shift
from ._spurious_correlation import spurious_correlation
from ._stand_in import (
    digits,
    digits_on_photographs,
    items_in_scenes,
    overlay,
    photograph_patches,
    rotated,
    small_items,
    spurious_items,
    with_contrast,
)
from ._training import Trained, train

__all__ = [
    "AbstractEncoder",
    "AbstractImages",
    "AbstractProjection",
    "Augmentation",
    "ConvNet",
    "FixedProjection",
    "ImageExperiment",
    "ImageNetwork",
    "Images",
    "Interval",
    "LinearProjection",
    "MLPProjection",
    "NoProjection",
    "Outcome",
    "Overlaid",
    "Progress",
    "Recipe",
    "ResNet",
    "Trained",
    "cifar10",
    "cifar100",
    "coarse_to_fine",
    "digit_on_photograph",
    "digits",
    "digits_on_photographs",
    "fashion_mnist",
    "items_in_scenes",
    "mnist",
    "overlay",
    "photograph_patches",
    "represent",
    "represent_pairs",
    "resnet18",
    "resnet32",
    "rotated",
    "shift",
    "small_items",
    "spurious_correlation",
    "spurious_items",
    "train",
    "with_contrast",
]
