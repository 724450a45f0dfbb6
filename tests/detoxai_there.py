"""detoxai, the library of notebook 05's authors: the parts that tests and a benchmark compare with, and no more.

`import detoxai` asks for lightning, gdown, concept-erasure and scikit-optimize, and makes a folder in the home. None of
it is needed here: `pip install --no-deps detoxai==0.3.8 torchmetrics lightning-utilities`, and the packages whose own
`__init__` pulls the rest in are stepped over. What trains through lightning's Trainer cannot be asked.
"""

import os
import sys
import types
from importlib import import_module, metadata
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from unittest.mock import patch

from torch import nn

VERSION = "0.3.8"
HINT = f"pip install --no-deps detoxai=={VERSION} torchmetrics lightning-utilities"
PIECES = {
    "xai": "core.xai",  # RRF, ADR, DIF, RDDT, HRF, MRR, DET; XAIMetricsCalculator
    "metrics": "metrics.metrics",  # comprehensive_metrics_torch, balanced_accuracy_torch
    "bias": "metrics.bias_metrics",  # calculate_bias_metric_torch: what its methods optimise
    "fairness": "metrics.fairness_metrics",  # FairnessMetrics: what its evaluation prints
    "cavs": "cavs",  # compute_cav, extract_activations
    "zhang": "methods.savani.zhang",  # ZhangM
    "savani": "methods.savani.adversarial",  # SavaniAFT
    "posthoc": "methods.posthoc",  # NaiveThresholdOptimizer: the paper's ThrOpt
    "clarcs": "methods.clarcs",  # add_clarc_hook, RRCLARC's rr_loss
    "visualization": "visualization",  # LRPHandler, HeatmapVisualizer, SSVisualizer
    "dataloader": "utils.dataloader",  # WrappedDataLoader, which its LRPHandler asks for
}


def lightning() -> dict[str, types.ModuleType]:
    """As much of lightning as class definitions and annotations name."""
    modules = {name: types.ModuleType(name) for name in ("lightning", "lightning.pytorch", "lightning.pytorch.loggers")}
    modules["lightning"].LightningModule = type("LightningModule", (nn.Module,), {})
    for logger in ("TensorBoardLogger", "WandbLogger"):
        setattr(modules["lightning.pytorch.loggers"], logger, type(logger, (), {}))
    return modules


def load(folder: str | Path) -> types.SimpleNamespace:
    """detoxai's modules by the names in PIECES. What it writes when imported goes below `folder`, an empty one.

    Raises ImportError saying what to install where a package is missing or the version is another one.
    """
    import torchmetrics  # noqa: F401  before there is a lightning that is not one

    if find_spec("detoxai") is None or metadata.version("detoxai") != VERSION:
        raise ImportError(f"detoxai {VERSION} is not installed")
    places = {"DETOXAI_ROOT_PATH": str(folder), "DETOXAI_DATASET_PATH": str(Path(folder) / "datasets")}
    stubs = {name: module for name, module in lightning().items() if name not in sys.modules}
    sys.modules.update(stubs)
    try:
        with patch.dict(os.environ, places):
            for package in ("detoxai", "detoxai.methods", "detoxai.methods.savani"):
                if package not in sys.modules:  # not run: their __init__ imports all there is
                    sys.modules[package] = module_from_spec(find_spec(package))
            pieces = types.SimpleNamespace(**{name: import_module(f"detoxai.{path}") for name, path in PIECES.items()})
    finally:
        for name in stubs:
            del sys.modules[name]
    silence(pieces.xai)
    return pieces


class Nowhere:
    """Axes that draw nothing, and remember nothing."""

    def __getattr__(self, name):
        return self

    def __call__(self, *values, **how):
        return self

    def __getitem__(self, key):
        return self


def silence(xai):
    """Its RRF prints, and draws the first 16 maps (there must be as many) into /workspace/debug."""
    xai.print = lambda *values: None
    xai.os = types.SimpleNamespace(makedirs=lambda *where, **how: None)
    xai.plt = Nowhere()
    xai.plt.subplots = lambda *how, **more: (None, Nowhere())
