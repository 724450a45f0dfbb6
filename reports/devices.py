"""The GPUs of this machine, of which each serves one run at a time."""

import os
import shutil

from .plans import Plan


def visible() -> list[str]:
    """Those that may be used here, by the names that CUDA_VISIBLE_DEVICES has for them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None and not shutil.which("nvidia-smi"):
        return []  # importing torch takes seconds
    import torch

    known = named.split(",") if named else map(str, range(torch.cuda.device_count()))
    return [*known] if torch.cuda.is_available() else []


def wanted(plan: Plan) -> bool:
    """Whether a run takes a GPU where there is one."""
    return plan.values.get("device", "auto") in ("auto", "cuda")
