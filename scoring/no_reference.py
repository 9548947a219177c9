"""Quality of speech without a clean reference, as networks predict it: DNSMOS and DistillMOS.

C. Reddy et al., "DNSMOS P.835", ICASSP 2022; B. Stahl and H. Gamper, "Distillation and pruning for
scalable self-supervised representation-based speech quality assessment", ICASSP 2025.
"""

import contextlib
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from errors import RecipeError
from scoring.quality import RATE, NotScored, check

INSTALL = "pip install speechmos onnxruntime distillmos"
DNSMOS_WINDOW = 144160  # samples, 9.01 s
DISTILLMOS_WINDOW = 122880  # samples, 7.68 s
TO_RATINGS = {  # the authors' polynomials from the network's three outputs to listeners' ratings
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


def load(device: str = "cpu") -> Callable[[np.ndarray], dict]:
    """A function: signal [samples] at 16 kHz -> its record, of the networks that are installed.

    RecipeError where none is; where one is missing, a line on the error output says so.
    """
    networks, missing = {}, []
    for name, loader in {"DNSMOS": load_dnsmos, "DistillMOS": load_distillmos}.items():
        try:
            networks |= loader(device)
        except ImportError as problem:
            missing.append(f"{name} cannot be computed ({problem})")
    if missing:
        told = f"{'; '.join(missing)}. Type `{INSTALL}`."
        if not networks:
            raise RecipeError(told)
        print(told, file=sys.stderr)

    def rate(signal):
        scores = {name: None for names in networks for name in names}
        try:
            check("signal", signal)
        except NotScored as refusal:
            return scores | {"not_scored": dict.fromkeys(scores, str(refusal))}
        ratings = [rating for network in networks.values() for rating in network(signal)]
        return dict(zip(scores, map(float, ratings), strict=True))

    return rate


def onnx_network(file: Path) -> Callable[..., list[np.ndarray]]:
    """An ONNX file as a function: arrays in the order of its inputs -> its outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    network = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in network.get_inputs()]
    return lambda *arrays: network.run(None, dict(zip(names, arrays, strict=True)))


def load_dnsmos(device: str) -> dict[tuple, Callable]:
    """Names of scores -> a function: signal [samples] -> ratings.

    The package's own function needs librosa and an older network; its file needs neither.
    """
    import speechmos

    network = onnx_network(Path(speechmos.__path__[0]) / "dnsmos_models" / "sig_bak_ovr.onnx")

    def rate(signal):
        while len(signal) < DNSMOS_WINDOW:
            signal = np.append(signal, signal)
        hops = range(int(len(signal) // RATE - DNSMOS_WINDOW / RATE) + 1)  # of 1 s
        windows = (signal[None, hop * RATE :][:, :DNSMOS_WINDOW] for hop in hops)
        outputs = np.concatenate([network(window)[0] for window in windows])
        rows = zip(TO_RATINGS.values(), outputs.T, strict=True)
        return [np.polyval(polynomial, row).mean() for polynomial, row in rows]

    return {tuple(TO_RATINGS): rate}


def load_distillmos(device: str) -> dict[tuple, Callable]:
    """Names of scores -> a function: signal [samples] -> ratings."""
    import distillmos

    with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
        network = distillmos.ConvTransformerSQAModel().eval().to(device)

    @torch.inference_mode()
    def rate(signal):  # as the network itself, but by windows: all at once would fill the memory
        longer = max(0, len(signal) - DISTILLMOS_WINDOW)
        starts = np.linspace(0, longer, math.ceil(longer / RATE) + 1).astype(int)
        signal = torch.from_numpy(signal)[None].to(device)
        windows = (signal[:, start : start + DISTILLMOS_WINDOW] for start in starts)
        return [np.mean([network(window).item() for window in windows])]

    return {("distillmos",): rate}
