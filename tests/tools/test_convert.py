"""Data sets in three formats: converted, trained on and evaluated with the tools that a user runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools.coco import COCO

from tests.datasets.convert.minis import EDGES, OTHER_EDGES, make_crowdhuman, make_voc, make_yolo
from tests.tools.conftest import TINY

CLASSES = ('left', 'right')
VOC_SPLITS = {'train': range(4), 'val': range(4, 6)}
Converted = tuple[Path, Path]


def files_below(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def convert(run_tool, tmp_path_factory) -> Callable[..., Converted]:
    """``convert(format)`` makes a small data set and converts it; gives its root and the folder of the JSONs."""
    makers = {'voc': lambda root: make_voc(root, CLASSES, VOC_SPLITS), 'yolo': make_yolo, 'crowdhuman': make_crowdhuman}
    done = {}

    def run(name: str) -> Converted:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            source = makers[name](folder / 'a set')
            before = files_below(folder)
            result = run_tool(f'dataset/convert_{name}.py', source, folder / 'out/json', cwd=folder)
            assert result.returncode == 0, result.stdout
            after = files_below(folder)
            assert {path: after.pop(path) for path in before} == before, 'the data set has changed'
            assert {Path(path).relative_to(folder).as_posix() for path in after} == {
                'out/json/train.json',
                'out/json/val.json',
            }
            (folder / 'said.txt').write_text(result.stdout)
            done[name] = folder / 'a set', folder / 'out/json'
        return done[name]

    return run


@pytest.fixture(scope='module')
def run_config(repo_dir, convert, tmp_path_factory) -> Callable[[str], Path]:
    """``run_config(format)`` is the config of a tiny model on the converted data."""

    def write(name: str) -> Path:
        root, out = convert(name)
        recipe = 'r50_fpn_500-proposals_crowdhuman' if name == 'crowdhuman' else 'r50_fpn_1x_coco'
        cfg = Config.fromfile(repo_dir / f'configs/sparse_rcnn/sparse-rcnn_{recipe}.py')
        cfg.merge_from_dict({key: value for key, value in TINY.items() if not key.endswith('.scale')})
        image_prefix = {'voc': 'JPEGImages/', 'yolo': '', 'crowdhuman': 'Images/'}[name]
        for split, ann_file in (('train', 'train'), ('val', 'val'), ('test', 'val')):
            loader = cfg[f'{split}_dataloader']
            loader.update(num_workers=0, persistent_workers=False)
            loader.dataset.update(
                data_root=f'{root}/', ann_file=str(out / f'{ann_file}.json'), data_prefix=dict(img=image_prefix)
            )
            loader.dataset.pipeline[2 if split == 'train' else 1] = dict(
                type='Resize', scale=(160, 96), keep_ratio=True
            )
            if name != 'crowdhuman':
                cfg.model.roi_head.bbox_head.num_classes = len(CLASSES)
                loader.dataset.metainfo = dict(classes=CLASSES)
            if split != 'train':
                evaluator = cfg[f'{split}_evaluator']
                evaluator.ann_file = str(root / 'annotation_val.odgt' if name == 'crowdhuman' else out / 'val.json')
                if name == 'crowdhuman':
                    evaluator.num_ji_process = 2
        config = tmp_path_factory.mktemp('config') / f'{name}.py'
        cfg.dump(config)
        return config

    return write


@pytest.mark.parametrize(
    ('name', 'images', 'classes', 'boxes'),
    [
        ('voc', (4, 2), CLASSES, ({'left': 5, 'right': 4}, {'left': 2, 'right': 2})),
        ('yolo', (4, 2), CLASSES, ({'left': 4, 'right': 4}, {'left': 2, 'right': 2})),
        ('crowdhuman', (4, 3), ('person',), ({'person': 16}, {'person': 12})),
    ],
)
def test_pycocotools_reads_what_the_tool_says(convert, name, images, classes, boxes):
    root, out = convert(name)
    said = (root.parent / 'said.txt').read_text()
    for split, count, by_class in zip(('train', 'val'), images, boxes):
        coco = COCO(str(out / f'{split}.json'))
        assert [category['name'] for category in coco.loadCats(coco.getCatIds())] == list(classes)
        assert coco.getCatIds() == list(range(1, len(classes) + 1))
        assert len(coco.imgs) == count and len(coco.anns) == sum(by_class.values())
        assert {n: len(coco.getAnnIds(catIds=coco.getCatIds(n))) for n in classes} == by_class
        assert f'{split}.json: {count} images (0 of them without boxes), {sum(by_class.values())} boxes' in said
        for number, class_name in enumerate(classes, start=1):
            assert f'{number} {class_name}: {by_class[class_name]}\n' in said
    prefix = re.search(r"data_prefix=dict\(img='(.*?)'\)", said).group(1)
    assert all((root / prefix / image['file_name']).is_file() for image in coco.imgs.values())
    assert f'classes={classes!r}' in said and f"ann_file='{out}/SPLIT.json'" in said


@pytest.mark.parametrize('name', ['voc', 'yolo', 'crowdhuman'])
def test_a_detector_that_answers_the_truth(run_config, name):
    cfg = Config.fromfile(run_config(name))
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        number = int(Path(sample.img_path).stem[-1])
        boxes = [EDGES[number], OTHER_EDGES[number]]
        if name == 'crowdhuman':
            x1, y1, x2, _ = boxes[1]
            boxes[1] = (x1, y1, x2, y1 + 60)
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float),
            labels=torch.tensor([0, len(dataset.metainfo['classes']) - 1]),
            scores=torch.tensor([0.9, 0.8]),
        )
        evaluator.process(data_samples=[sample])
    found = evaluator.evaluate(len(dataset))
    if name == 'crowdhuman':  # six boxes; see CrowdHumanMetric for its AP
        assert found == {f'crowd_human/{key}': n for key, n in dict(mAP=0.8333, mMR=0, JI=1, recall=1).items()}
    else:
        assert [found[f'coco/bbox_{key}'] for key in ('mAP', 'mAP_50', 'mAP_75')] == [1.0, 1.0, 1.0]


def test_a_wrong_folder_ends_in_one_sentence(run_tool, tmp_path):
    result = run_tool('dataset/convert_voc.py', tmp_path / 'gone', tmp_path / 'out', cwd=tmp_path)
    assert result.returncode == 1
    # mmdet says on import which optional package it lacks.
    (sentence,) = [line for line in result.stdout.splitlines() if 'OneDL' not in line]
    assert re.fullmatch(r'error: no folder .*gone: .*', sentence)
    assert not (tmp_path / 'out').exists()


def logged(work_dir: Path, key: str) -> list[float]:
    path = next(work_dir.glob('*/vis_data/scalars.json'))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [record[key] for record in records if key in record]


@pytest.mark.parametrize(
    ('name', 'metrics'),
    [
        ('voc', ['coco/bbox_mAP', 'coco/bbox_mAP_50']),
        ('yolo', ['coco/bbox_mAP', 'coco/bbox_mAP_50']),
        ('crowdhuman', [f'crowd_human/{metric}' for metric in ('mAP', 'mMR', 'JI', 'recall')]),
    ],
)
def test_trains_and_evaluates(run_tool, run_config, tmp_path, name, metrics):
    train(run_tool, run_config(name), tmp_path, metrics)


def train(run_tool, config: Path, work_dir: Path, metrics: list[str]) -> None:
    """One epoch of two steps, with the metrics after it."""
    result = run_tool('train.py', config, '--work-dir', work_dir, '--seed', 0, cwd=work_dir)
    assert result.returncode == 0, result.stdout
    assert (work_dir / 'epoch_1.pth').is_file()
    assert len(logged(work_dir, 'loss')) == 2
    for metric in metrics:
        values = logged(work_dir, metric)
        assert len(values) == 1 and 0 <= values[0] <= 1


def test_the_voc_recipe_trains_on_a_devkit_as_it_is(run_tool, repo_dir, tmp_path):
    devkit = tmp_path / 'data/VOCdevkit'
    make_voc(devkit / 'VOC2007', ('cat', 'dog'), {'trainval': range(2), 'test': range(2, 5)})
    make_voc(devkit / 'VOC2012', ('dog', 'person'), {'trainval': range(2)})
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_voc0712.py')
    cfg.merge_from_dict({key: value for key, value in TINY.items() if '.dataset.' not in key})
    resize = dict(type='Resize', scale=(160, 96), keep_ratio=True)
    for dataset in cfg.train_dataloader.dataset.datasets:
        dataset.pipeline[2] = resize
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
    cfg.val_dataloader.dataset.pipeline[1] = resize
    cfg.dump(tmp_path / 'voc.py')
    train(run_tool, tmp_path / 'voc.py', tmp_path, ['voc_11points/mAP', 'voc_11points/AP50', 'voc_area/AP50'])
