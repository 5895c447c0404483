"""The same seed on the same machine gives the same training, bit for bit, through the tool that users run."""

import json
from pathlib import Path

import pytest

from sparse_rcnn_ext.engine.run_config import load_config
from tests.durability.compare import differences
from tests.durability.shapes_training import shapes_config

ITERATIONS = 12


@pytest.fixture(scope='module')
def config(tmp_path_factory, repo_dir, run_process) -> Path:
    """The quickstart's model on a few images, with dropout and all augmentation of the 640-pixel recipe."""
    folder = tmp_path_factory.mktemp('same')
    recipe = repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'
    tool = str(repo_dir / 'tools/dataset/make_shapes_coco.py')
    code, printed = run_process(tool, ['data', f'--num-train={2 * ITERATIONS}', '--num-val=2', '--size=160'], folder)
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


def test_same_seed_same_losses(config, run_process, repo_dir, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    for work_dir in (one, two):
        arguments = [str(config), '--work-dir', str(work_dir), '--seed', '3']
        code, printed = run_process(str(repo_dir / 'tools/train.py'), arguments, tmp_path)
        assert code == 0, printed[-3000:]
    assert len(losses(one)) == ITERATIONS
    # Else equality proves nothing; that another seed is another training, test_exact_resume.py says.
    assert len({line['loss'] for line in losses(one)}) == ITERATIONS
    assert losses(one) == losses(two)
    assert differences(one / 'epoch_1.pth', two / 'epoch_1.pth') == []
