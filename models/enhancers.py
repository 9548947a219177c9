"""The enhancers by name, for the YAML files."""

from collections.abc import Sequence
from functools import partial

from errors import one_of
from models.cnn_transformer import CNNTransformer
from models.crdnn_enhancer import CRDNNEnhancer
from models.enhancer import Enhancer
from models.saved import build_from
from models.wide_resnet import WideResnet

KINDS = {  # class, and what its arguments for channels and dense units are called
    "cnn_transformer": (CNNTransformer, "channels", "feed_forward"),
    "wide_resnet": (WideResnet, "channels", "dense"),
    "crdnn": (CRDNNEnhancer, "cnn_channels", "dnn_neurons"),
}


def build_enhancer(
    kind: str,
    channels: Sequence[int] | None = None,
    dense: int | None = None,
    **options: float | str,
) -> Enhancer:
    """An enhancer of a kind. ``channels`` of its convolutions and ``dense`` units: None leaves the
    published sizes. ``options``: dropout, mask_domain, mask_weight."""
    one_of("enhancer", kind, KINDS)
    enhancer, of_channels, of_dense = KINDS[kind]
    sizes = {of_channels: channels, of_dense: dense}
    return enhancer(**{k: v for k, v in sizes.items() if v is not None}, **options)


def load_enhancer(path: str | None, kind: str, mask_weight: float, **sizes) -> Enhancer:
    """The enhancer at ``path`` (.ckpt file, folder of a run or of an exported model), with its own
    kind and sizes; its parameters are loaded later. ``kind`` and ``sizes``, as for
    ``build_enhancer``, are those of a checkpoint that does not tell them, or of a new enhancer."""
    otherwise = partial(build_enhancer, kind, **sizes)
    return build_from("enhance_model", path, otherwise, mask_weight=mask_weight)
