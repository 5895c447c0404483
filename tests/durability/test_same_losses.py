"""The same seed on the same machine gives the same training, bit for bit, through the tool that users run."""

import json
from pathlib import Path

import pytest

from sparse_rcnn_ext.engine.config.run_config import load_config
from tests.durability.compare import differences
from tests.durability.conftest import SOAK, TORCHRUN
from tests.durability.shapes_training import shapes_config

ITERATIONS = 50 if SOAK else 12
PROCESSES = (1, 2) if SOAK else (1,)
WORKERS = (2, 2, 0) if SOAK else (2, 2)
"""Of a training, and of those that are to be the same."""


@pytest.fixture(scope='module')
def config(tmp_path_factory, repo_dir, run_process) -> Path:
    """The plain shapes model on a few images, with dropout and all augmentation of the 640-pixel recipe."""
    folder = tmp_path_factory.mktemp('same')
    recipe = repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'
    tool = str(repo_dir / 'tools/dataset/make_shapes_coco.py')
    images = 2 * max(PROCESSES) * ITERATIONS
    code, printed = run_process(tool, ['data', f'--num-train={images}', '--num-val=2', '--size=160'], folder)
    assert code == 0, printed
    cfg = shapes_config(
        folder / 'data',
        size=96,
        train_dataloader__batch_size=2,
        train_dataloader__num_workers=2,
        train_dataloader__persistent_workers=True,
        model__rpn_head__num_proposals=20,
        model__roi_head__bbox_head__dropout=0.1,
        train_cfg__max_epochs=1,
        default_hooks__logger__interval=1,
        log_processor__window_size=1,
    )
    cfg.train_dataloader.dataset.pipeline = load_config(str(recipe), dict(long_side=96), None).train_pipeline
    cfg.val_dataloader.dataset.indices = 2
    cfg.default_hooks.ema = dict(type='EMAHook')
    cfg.dump(folder / 'same.py')
    return folder / 'same.py'


def losses(work_dir: Path) -> list[dict[str, float]]:
    """Of each iteration all losses and the norm of the gradients; JSON keeps every bit of a number."""
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if 'loss' in name or name == 'grad_norm'}
        for line in lines
        if 'loss' in line
    ]


@pytest.mark.parametrize('processes', PROCESSES)
def test_same_seed_same_losses(config, run_process, repo_dir, tmp_path, processes):
    folders = [tmp_path / str(number) for number in range(len(WORKERS))]
    for folder, workers in zip(folders, WORKERS):
        arguments = [str(repo_dir / 'tools/train.py'), str(config), '--work-dir', str(folder), '--seed', '3']
        if processes > 1:
            arguments = [*TORCHRUN, *arguments, '--launcher', 'pytorch']
        options = [f'train_dataloader.dataset.indices={2 * processes * ITERATIONS}']
        options += [f'train_dataloader.num_workers={workers}', f'train_dataloader.persistent_workers={workers > 0}']
        code, printed = run_process(arguments[0], [*arguments[1:], '--cfg-options', *options], tmp_path)
        assert code == 0, printed[-3000:]
    first, *others = folders
    assert len(losses(first)) == ITERATIONS
    # Else equality proves nothing; that another seed is another training, test_exact_resume.py says.
    assert len({line['loss'] for line in losses(first)}) == ITERATIONS
    for other in others:
        assert losses(first) == losses(other)
        assert differences(first / 'epoch_1.pth', other / 'epoch_1.pth') == []
