"""The rows of the ablations and the upgrades as small models."""

import re
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from torch import Tensor, nn

from tests.models.small_model import CHANNELS, initialise, small_config

ABLATIONS = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn/ablations'
TABLES = yaml.safe_load((ABLATIONS / 'tables.yml').read_text())
ROWS = sorted(path.stem for path in ABLATIONS.glob('*.py'))
UPGRADES = ABLATIONS.with_name('upgrades')
UPGRADE_ROWS = sorted(path.stem for path in UPGRADES.glob('*.py'))
MODEL_ROWS = [row for row in UPGRADE_ROWS if row != 'dense']  # which is about images
WHWH = torch.tensor([[96.0, 64, 96, 64], [80, 50, 80, 50]], dtype=torch.float64)


def rebase(row: str, base: Path) -> Config:
    """What a row changes, such as ``stages-3`` or ``../upgrades/mal``, on top of another config."""
    text, times = re.subn(
        r'^_base_ = .*$', f'_base_ = {str(base)!r}', (ABLATIONS / f'{row}.py').read_text(), flags=re.M
    )
    assert times == 1
    with tempfile.TemporaryDirectory() as folder:
        child = Path(folder) / 'child.py'
        child.write_text(text)
        return Config.fromfile(child)


def build_row(row: str, overrides: dict | None = None, seed: int = 0, spread: bool = True) -> nn.Module:
    """A row over a small model, in float64; see ``small_model``."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / 'base.py'
        small_config(overrides).dump(base)
        cfg = rebase(row, base)
    return initialise(cfg, seed, spread).double()


def build_upgrade(name: str, overrides: dict[str, Any] | None = None, seed: int = 0, spread: bool = True) -> nn.Module:
    """An upgrade over a small model, in float32; see ``small_model``.

    Args:
        name: The config, without its ending.
        overrides: Dotted config keys and their values, on top of the upgrade.
        seed, spread: See :func:`tests.models.small_model.initialise`.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, 'base.py')
        small_config().dump(base)
        cfg = rebase(f'../upgrades/{name}', base)
    cfg.merge_from_dict(overrides or {})
    return initialise(cfg, seed, spread)


def make_pyramid() -> list[Tensor]:
    """Features of two images of up to 64 × 96 pixels."""
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(2, CHANNELS, 64 // stride, 96 // stride, generator=generator, dtype=torch.float64)
        for stride in (4, 8, 16, 32)
    ]


def run_stages(model: nn.Module) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """Inputs and outputs of every stage as it runs: RoI features, proposal features, boxes; logits, boxes, features."""
    seen = []
    hooks = [
        stage.register_forward_hook(lambda module, inputs, outputs: seen.append((inputs, outputs)))
        for stage in model.roi_head.bbox_head.children()
    ]
    model.roi_head(make_pyramid(), *model.rpn_head(WHWH))
    for hook in hooks:
        hook.remove()
    return seen
