"""The upgrades as small models."""

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from tests.configs.ablation_rows import UPGRADE_ROWS, rebase
from tests.models.small_model import initialise, small_config

MODEL_ROWS = [row for row in UPGRADE_ROWS if row != 'dense']  # which is about images


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
