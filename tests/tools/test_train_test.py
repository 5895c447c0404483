"""tools/train.py and tools/test.py, run as a user runs them."""

import json
import math
import re
import shutil

import cv2
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

COCO_LINE = re.compile(r'^ Average (?:Precision|Recall) .* = (-?\d\.\d{3})$', re.MULTILINE)
NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']


@pytest.fixture(scope='module')
def trained(tmp_path_factory, tiny_config, run_tool):
    """The folder in which train.py ran, and what it printed."""
    folder = tmp_path_factory.mktemp('trained')
    result = run_tool('train.py', tiny_config, '--seed', 0, cwd=folder)
    assert result.returncode == 0, result.stdout
    return folder, result.stdout


def scalars(run_dir) -> list[dict]:
    """The logged values of every iteration of the newest run in a work dir."""
    log = max(run_dir.glob('*/vis_data/scalars.json'))
    return [entry for entry in map(json.loads, log.read_text().splitlines()) if 'loss' in entry]


def test_train_lands_in_work_dirs(trained):
    folder, printed = trained
    run_dir = folder / 'work_dirs/tiny'
    assert (run_dir / 'epoch_1.pth').is_file()
    assert len(scalars(run_dir)) == 2
    assert len(COCO_LINE.findall(printed)) == 12
    assert re.search(r'Effective batch: 2 .* x 1 .* x 1 .* = 2\. Learning rate: 2\.5e-05', printed)


def test_test_writes_detections_and_pictures(trained, tiny_config, run_tool, shared_dir):
    folder, train_printed = trained
    options = ['--out', 'results/found.json', '--show-dir', 'pictures']
    result = run_tool('test.py', tiny_config, 'work_dirs/tiny/epoch_1.pth', *options, cwd=folder)
    assert result.returncode == 0, result.stdout
    table = COCO_LINE.findall(result.stdout)
    assert len(table) == 12
    assert table == COCO_LINE.findall(train_printed), 'the checkpoint scores what the validation of its training did'
    limits = [re.search(r'maxDets= *(\d+)', line[0])[1] for line in COCO_LINE.finditer(result.stdout)]
    assert limits[6:9] == ['1', '10', '100']

    truth = COCO(str(shared_dir / 'data/coco_mini/annotations/instances_val2017.json'))
    detections = truth.loadRes(str(folder / 'results/found.json'))
    assert list((folder / 'results').iterdir()) == [folder / 'results/found.json']
    evaluation = COCOeval(truth, detections, 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert [f'{value:.3f}' for value in evaluation.stats] == table

    images = {truth.imgs[image]['file_name']: truth.imgs[image] for image in detections.getImgIds()}
    with_detections = {ann['image_id'] for ann in detections.anns.values()}
    assert len(with_detections) == 3
    pictures = sorted((folder / 'pictures').iterdir())
    assert [picture.name for picture in pictures] == sorted(
        name for name, image in images.items() if image['id'] in with_detections
    )
    for picture in pictures:
        # The ground truth stands beside the detections.
        height, width = cv2.imread(str(picture)).shape[:2]
        assert (height, width) == (images[picture.name]['height'], 2 * images[picture.name]['width'])


def test_resume_goes_on_where_it_stopped(trained, tiny_config, run_tool, tmp_path):
    """Also after the folder of the run was moved."""
    shutil.copytree(trained[0] / 'work_dirs/tiny', tmp_path / 'moved')
    saved = torch.load(tmp_path / 'moved/epoch_1.pth', map_location='cpu', weights_only=False)
    assert (saved['meta']['iter'], saved['meta']['seed']) == (2, 0)
    (trained[0] / 'work_dirs/tiny/epoch_1.pth').rename(trained[0] / 'gone.pth')
    options = ['train_cfg.max_epochs=2', *NO_VALIDATION]
    result = run_tool(
        'train.py', tiny_config, '--resume', '--work-dir', 'moved', '--cfg-options', *options, cwd=tmp_path
    )
    (trained[0] / 'gone.pth').rename(trained[0] / 'work_dirs/tiny/epoch_1.pth')
    assert result.returncode == 0, result.stdout
    assert 'resumed epoch: 1, iter: 2' in result.stdout
    assert {path.name for path in (tmp_path / 'moved').glob('*.pth')} == {'epoch_1.pth', 'epoch_2.pth'}
    assert [entry['step'] for entry in scalars(tmp_path / 'moved')] == [3, 4]
    resumed = torch.load(tmp_path / 'moved/epoch_2.pth', map_location='cpu', weights_only=False)
    assert {entry['step'].item() for entry in resumed['optimizer']['state'].values()} == {4.0}


def test_amp_and_scaled_rate_with_accumulation(tiny_config, run_tool, tmp_path):
    options = [*NO_VALIDATION, 'train_dataloader.batch_size=1', 'optim_wrapper.accumulative_counts=2']
    arguments = ['--amp', 'bf16', '--auto-scale-lr', '--work-dir', tmp_path / 'run', '--cfg-options', *options]
    result = run_tool('train.py', tiny_config, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    expected = 2.5e-5 * (1 * 1 * 2) / 16
    line = re.search(r'Effective batch: 1 .* x 1 .* x 2 .* = 2\. Learning rate: (\S+),', result.stdout)
    assert float(line.group(1)) == pytest.approx(expected)
    state = torch.load(tmp_path / 'run/epoch_1.pth', map_location='cpu', weights_only=False)
    assert [group['initial_lr'] for group in state['optimizer']['param_groups']] == [pytest.approx(expected)]
    # 4 images one by one, a step after every second.
    assert {entry['step'].item() for entry in state['optimizer']['state'].values()} == {2.0}
    losses = [entry['loss'] for entry in scalars(tmp_path / 'run')]
    assert len(losses) == 4 and all(math.isfinite(loss) for loss in losses)
    dtypes = {value.dtype for value in state['state_dict'].values() if value.is_floating_point()}
    assert dtypes == {torch.float32}


def test_missing_data_is_one_sentence(run_tool, repo_dir, tmp_path):
    recipe = repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
    result = run_tool('train.py', recipe, cwd=tmp_path)
    assert result.returncode == 1
    (sentence,) = [line for line in result.stdout.splitlines() if 'OneDL' not in line]
    assert sentence.startswith('error: the annotation file data/coco/annotations/instances_train2017.json')
    assert 'train_dataloader.dataset.ann_file' in sentence and str(tmp_path) in sentence
    assert not list(tmp_path.iterdir())


def test_full_recipe_on_coco(run_tool, repo_dir, shared_dir, tmp_path):
    """ResNet-50, 100 proposals, 6 stages: trains, saves, and its checkpoint is tested. Only the images are smaller."""
    recipe = repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
    data = shared_dir / 'data/coco_mini'
    annotations = data / 'annotations/instances_val2017.json'
    train_options = [f'train_dataloader.dataset.data_root={data}', 'model.backbone.init_cfg=None', *NO_VALIDATION]
    train_options += ['train_dataloader.dataset.indices=4', 'train_dataloader.dataset.pipeline.2.scale=(333,200)']
    # The optimizer's state triples the file.
    train_options += ['default_hooks.checkpoint.save_optimizer=False', 'train_cfg.max_epochs=1']
    result = run_tool('train.py', recipe, '--cfg-options', *train_options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    checkpoint = tmp_path / 'work_dirs' / recipe.stem / 'epoch_1.pth'
    losses = [entry['loss'] for entry in scalars(checkpoint.parent)]
    assert losses and all(math.isfinite(loss) for loss in losses)

    test_options = [f'test_dataloader.dataset.data_root={data}', f'test_evaluator.ann_file={annotations}']
    test_options += ['test_dataloader.dataset.indices=2', 'test_dataloader.dataset.pipeline.1.scale=(333,200)']
    # After so little training all boxes may lie outside of the images, and without a detection there is no table.
    test_options += ['model.test_cfg.clip_boxes=False']
    result = run_tool('test.py', recipe, checkpoint, '--cfg-options', *test_options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert len(COCO_LINE.findall(result.stdout)) == 12
    checkpoint.unlink()
