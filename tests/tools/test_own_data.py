"""One's own data through the tools, and what the user reads where it does not fit."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from sparse_rcnn_ext.engine.config.run_config import load_config
from tests.datasets.tiny_coco import cats_and_dogs, write

KNOBS = ['data_root=data/pets', 'long_side=64', 'num_proposals=10', 'num_workers=0', 'max_epochs=1']
KNOBS += ['default_hooks.report.enabled=False']


@pytest.fixture(scope='module')
def recipe(repo_dir):
    return repo_dir / 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_own-data.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory, repo_dir):
    """A folder with data/pets, as Roboflow writes it, and the weights of a detector of 5 classes."""
    folder = tmp_path_factory.mktemp('own data')
    for number, split in enumerate(('train', 'valid', 'test')):
        content = cats_and_dogs(4, 10 * number)
        parent = dict(id=0, name='pets', supercategory='none')
        content['categories'] = [parent, *(dict(one, supercategory='pets') for one in content['categories'])]
        write(folder / 'data/pets' / split / '_annotations.coco.json', content, folder / 'data/pets' / split)
    model = Config.fromfile(repo_dir / 'configs/_base_/models/sparse-rcnn_lite0_fpn.py').model
    model.rpn_head.num_proposals = 10
    model.roi_head.bbox_head.num_classes = 5
    model.backbone.pretrained_file = None
    init_default_scope('mmdet')
    torch.save(dict(meta={}, state_dict=MODELS.build(model).state_dict()), folder / 'five.pth')
    return folder


def last_line(result) -> str:
    assert result.returncode == 1, result.stdout
    assert 'Traceback' not in result.stdout
    return result.stdout.splitlines()[-1]


def test_trains_from_a_checkpoint_of_other_classes(folder, recipe, run_tool):
    result = run_tool('train.py', recipe, '--cfg-options', *KNOBS, 'load_from=five.pth', cwd=folder)
    assert result.returncode == 0, result.stdout
    (line,) = [line for line in result.stdout.splitlines() if 'fresh initialisation' in line]
    layers = ', '.join(f'roi_head.bbox_head.{stage}.fc_cls' for stage in range(3))
    assert line.endswith(
        f'five.pth was trained on 5 classes, and the config has 2: {layers} keep their fresh initialisation.'
    )
    assert 'do not match exactly' not in result.stdout
    assert len(re.findall(r"left out, as they are none of the classes: 'pets' \(0 boxes\)", result.stdout)) == 2
    run = folder / 'work_dirs' / recipe.stem
    saved = torch.load(run / 'epoch_1.pth', map_location='cpu', weights_only=False)
    assert saved['meta']['dataset_meta']['classes'] == ('cat', 'dog')
    assert Config.fromfile(run / recipe.name).train_cfg.max_epochs == 1

    # Wherever an epoch has put the boxes.
    options = [*KNOBS, 'model.test_cfg.clip_boxes=False']
    tested = run_tool('test.py', recipe, run / 'epoch_1.pth', '--cfg-options', *options, cwd=folder)
    assert tested.returncode == 0, tested.stdout
    assert len(re.findall(r'^ Average (?:Precision|Recall) ', tested.stdout, re.MULTILINE)) == 12


def test_detects_in_a_test_split_without_annotations(folder, recipe, run_here, tmp_path, monkeypatch):
    """The classes are those of the training, whose checkpoint has them; here it is a fresh one."""
    shutil.copytree(folder / 'data', tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    listed = Path('data/pets/test/_annotations.coco.json')
    content = json.loads(listed.read_text())
    del content['annotations']
    listed.write_text(json.dumps(content))
    cfg = load_config(str(recipe), dict(data_root='data/pets', num_proposals=10), None)
    cfg.model.backbone.pretrained_file = None
    torch.save(dict(meta={}, state_dict=MODELS.build(cfg.model).state_dict()), 'two.pth')
    # So that each image has detections, wherever fresh weights put them.
    options = [*KNOBS, 'test_evaluator.format_only=True', 'model.test_cfg.clip_boxes=False']
    run_here('test.py', recipe, 'two.pth', '--out', 'found.json', '--cfg-options', *options)
    found = json.loads(Path('found.json').read_text())
    ids = {category['name']: category['id'] for category in content['categories']}
    assert {entry['image_id'] for entry in found} == {image['id'] for image in content['images']}
    assert {entry['category_id'] for entry in found} <= {ids['cat'], ids['dog']}


def test_checkpoint_of_other_classes_is_not_tested(folder, recipe, run_tool):
    result = run_tool('test.py', recipe, 'five.pth', '--cfg-options', *KNOBS, cwd=folder)
    assert last_line(result).startswith('error: five.pth does not fit the config; ')
    assert 'roi_head.bbox_head.0.fc_cls.weight is 5×128 in the file and 2×128 in the model; ' in last_line(result)
    assert ': set model.roi_head.bbox_head.num_classes to 5, or give a checkpoint' in last_line(result)


def test_class_that_the_file_lacks(folder, recipe, run_tool):
    """Raised where the Runner builds the data set."""
    wrong = "train_dataloader.dataset.metainfo.classes=('cat','bird')"
    result = run_tool('train.py', recipe, '--cfg-options', *KNOBS, wrong, cwd=folder)
    assert last_line(result) == (
        "error: data/pets/train/_annotations.coco.json lacks 1 of the config's 2 classes, 'bird', and has the "
        "categories 'pets', 'cat', 'dog': set metainfo.classes to names as the file writes them"
    )
