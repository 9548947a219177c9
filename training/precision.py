"""Which numbers the networks compute in, where the settings leave it to the machine (``precision: auto``)."""

import torch

AUTO = "auto"
OPTION = f"--precision={AUTO}"


def take_option(arguments):
    """Command line -> (the rest of it, overrides): SpeechBrain's own parser knows the three real precisions alone."""
    return [a for a in arguments if a != OPTION], {"precision": AUTO} if OPTION in arguments else {}


def fastest(device=None):
    """``bf16`` where the device has instructions for it, else ``fp32``; ``device`` as for ``--device``, None: GPU if any."""
    on_gpu = torch.cuda.is_available() if device is None else str(device).startswith("cuda")
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else cpu_has_bf16()
    return "bf16" if has_bf16 else "fp32"


def cpu_has_bf16():
    """Whether this processor multiplies bf16 by itself; one that must emulate it takes five times as long as with fp32."""
    found = getattr(torch.cpu, "get_capabilities", dict)()  # newer torch; without an answer: no
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
