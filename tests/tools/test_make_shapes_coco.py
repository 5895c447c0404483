"""The generated data set: reproducible, valid COCO, of every kind of case, and solvable by shape only."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO

NUM_IMAGES = {'train': 40, 'val': 30}
SPLITS = list(NUM_IMAGES)


def run(repo_dir: Path, out: Path, *options: str) -> subprocess.CompletedProcess:
    tool = repo_dir / 'tools' / 'dataset' / 'make_shapes_coco.py'
    return subprocess.run([sys.executable, str(tool), str(out), *options], capture_output=True, text=True, check=False)


def make(repo_dir: Path, out: Path, *options: str) -> str:
    result = run(repo_dir, out, *options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture(scope='module')
def shapes(repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('shapes')
    make(repo_dir, out, '--num-train', str(NUM_IMAGES['train']), '--num-val', str(NUM_IMAGES['val']))
    return out


@pytest.fixture(params=SPLITS)
def split(request: pytest.FixtureRequest) -> str:
    return request.param


def load(shapes: Path, split: str) -> COCO:
    return COCO(str(shapes / 'annotations' / f'instances_{split}.json'))


def test_same_settings_same_bytes(repo_dir: Path, tmp_path: Path):
    small = ('--num-train', '4', '--num-val', '3')
    for name, seed in (('one', '5'), ('two', '5'), ('other', '6')):
        make(repo_dir, tmp_path / name, *small, '--seed', seed)
    one, two, other = (contents(tmp_path / name) for name in ('one', 'two', 'other'))
    assert len(one) == 4 + 3 + 2 + 1
    assert one == two
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name] == other[name]]


def test_finished_data_are_kept_and_unfinished_data_are_made_again(repo_dir: Path, tmp_path: Path):
    small = ('--num-train', '3', '--num-val', '3', '--objects', '2', '4')
    make(repo_dir, tmp_path, *small)
    finished = contents(tmp_path)
    image = tmp_path / 'val' / '000001.jpg'
    written = image.stat().st_mtime_ns
    assert 'complete already' in make(repo_dir, tmp_path, *small)
    assert image.stat().st_mtime_ns == written

    stamp = json.loads((tmp_path / 'shapes.json').read_text())
    (tmp_path / 'shapes.json').write_text(json.dumps(stamp | {'finished': False}))
    image.write_bytes(b'half an image')
    make(repo_dir, tmp_path, *small)
    assert contents(tmp_path) == finished
    image.unlink()
    make(repo_dir, tmp_path, *small)
    assert contents(tmp_path) == finished

    make(repo_dir, tmp_path, *small[:3], '2', *small[4:])
    assert len(list((tmp_path / 'val').iterdir())) == 2


def test_data_of_others_are_not_touched(repo_dir: Path, tmp_path: Path):
    mine = tmp_path / 'train' / 'mine.jpg'
    mine.parent.mkdir()
    mine.write_bytes(b'mine')
    result = run(repo_dir, tmp_path, '--num-train', '2', '--num-val', '2')
    assert result.returncode != 0
    assert 'name another folder' in result.stderr
    assert contents(tmp_path) == {'train/mine.jpg': b'mine'}


@pytest.mark.parametrize(
    'options',
    [('--size', '100'), ('--objects', '5', '2'), ('--num-val', '1'), ('--mix', '0', '0', '0'), ('--seed', '-1')],
)
def test_wrong_settings(repo_dir: Path, tmp_path: Path, options: tuple[str, ...]):
    result = run(repo_dir, tmp_path / 'out', *options)
    assert result.returncode == 2
    assert options[0] in result.stderr.splitlines()[-1]
    assert not (tmp_path / 'out').exists()


def test_images_and_categories(shapes: Path, split: str):
    coco = load(shapes, split)
    assert len(coco.imgs) == NUM_IMAGES[split] == len(list((shapes / split).iterdir()))
    for record in coco.imgs.values():
        image = cv2.imread(str(shapes / split / record['file_name']))
        assert image.shape == (record['height'], record['width'], 3) == (256, 256, 3)
    assert len(coco.cats) >= 4
    used = [annotation['category_id'] for annotation in coco.anns.values()]
    assert set(used) == set(coco.cats)
    assert coco.dataset['info']['seed'] == 0
    assert f'--num-train {NUM_IMAGES["train"]} --num-val {NUM_IMAGES["val"]}' in coco.dataset['info']['command']
    ids = [annotation['id'] for annotation in coco.dataset['annotations']]
    assert len(set(ids)) == len(ids)


def test_splits_share_no_photograph(shapes: Path):
    used = [{record['background'] for record in load(shapes, split).imgs.values()} for split in SPLITS]
    assert all(len(names) >= 3 for names in used)
    assert not used[0] & used[1]


def test_boxes_are_the_tight_boxes_of_the_masks(shapes: Path, split: str):
    coco = load(shapes, split)
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        assert mask.shape == (256, 256)
        rows, columns = np.nonzero(mask)
        x, y, w, h = annotation['bbox']
        assert (x, y, x + w, y + h) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert annotation['area'] == mask.sum()


def test_masks_do_not_overlap(shapes: Path, split: str):
    coco = load(shapes, split)
    for image_id in coco.imgs:
        masks = [coco.annToMask(annotation) for annotation in coco.imgToAnns[image_id]]
        assert not masks or np.sum(masks, axis=0).max() == 1


def test_every_case_is_there(shapes: Path, split: str):
    coco = load(shapes, split)
    singles = coco.loadAnns(coco.getAnnIds(iscrowd=False))
    area = np.array([annotation['area'] for annotation in singles])
    assert (area < 32**2).sum() >= 10
    assert ((area >= 32**2) & (area < 96**2)).sum() >= 100
    assert (area >= 96**2).sum() >= 2
    assert area.min() > 100
    empty = [image_id for image_id in coco.imgs if not coco.imgToAnns[image_id]]
    assert 1 <= len(empty) <= 0.1 * len(coco.imgs)
    crowds = coco.loadAnns(coco.getAnnIds(iscrowd=True))
    assert len(crowds) == 1
    assert isinstance(crowds[0]['segmentation']['counts'], list)  # uncompressed, as in COCO's files


def test_objects_overlap(shapes: Path, split: str):
    coco = load(shapes, split)
    overlapping = 0
    for image_id in coco.imgs:
        boxes = np.array([annotation['bbox'] for annotation in coco.imgToAnns[image_id]]).reshape(-1, 4)
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        shared = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low)).clip(0).prod(axis=2)
        np.fill_diagonal(shared, 0)
        overlapping += (shared.sum(axis=1) > 0).sum()
    assert overlapping > 0.3 * len(coco.anns)


def test_mmdet_reads_it(shapes: Path, split: str):
    coco = load(shapes, split)
    classes = tuple(category['name'] for category in coco.cats.values())
    dataset = CocoDataset(
        ann_file=f'annotations/instances_{split}.json',
        data_root=str(shapes),
        data_prefix={'img': f'{split}/'},
        metainfo={'classes': classes},
        pipeline=[],
        test_mode=True,
    )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    flags = [instance['ignore_flag'] for info in infos for instance in info['instances']]
    assert len(infos) == NUM_IMAGES[split]
    assert len(flags) == len(coco.anns)
    assert sum(flags) == 1
    assert all(Path(info['img_path']).is_file() for info in infos)


def shape_moments(mask: np.ndarray) -> list[float]:
    """Moments of a mask that position, stretch and rotation do not change."""
    points = np.argwhere(mask).astype(float)
    points -= points.mean(axis=0)
    u, v = (points @ np.linalg.cholesky(np.linalg.inv(np.cov(points.T)))).T
    square, angle = u**2 + v**2, np.arctan2(v, u)
    turns = [np.abs((square * np.exp(1j * k * angle)).mean()) for k in (3, 4, 5)]
    return [(square**2).mean(), (square**3).mean(), (square < 0.3).mean(), *turns]


def features(shapes: Path, split: str) -> dict[str, np.ndarray]:
    """Of every single object: its class, mean colour in the mask, mean colour in the box, and shape moments."""
    coco = load(shapes, split)
    found = {'label': [], 'mask colour': [], 'box colour': [], 'moments': []}
    for annotation in coco.loadAnns(coco.getAnnIds(iscrowd=False)):
        image = cv2.imread(str(shapes / split / coco.imgs[annotation['image_id']]['file_name'])).astype(float)
        mask = coco.annToMask(annotation).astype(bool)
        x, y, w, h = annotation['bbox']
        found['label'].append(annotation['category_id'] - 1)
        found['mask colour'].append(image[mask].mean(axis=0))
        found['box colour'].append(image[y : y + h, x : x + w].mean(axis=(0, 1)))
        found['moments'].append(shape_moments(mask))
    return {key: np.array(value) for key, value in found.items()}


def test_shape_tells_the_class_and_colour_does_not(shapes: Path):
    train, val = (features(shapes, split) for split in SPLITS)
    num_classes = train['label'].max() + 1

    def accuracy(name: str) -> float:
        """Of a least-squares classifier on the features and their squares, fitted to train, on val."""
        mean, std = train[name].mean(axis=0), train[name].std(axis=0)
        inputs = [(part[name] - mean) / std for part in (train, val)]
        inputs = [np.column_stack([np.ones(len(x)), x, x**2]) for x in inputs]
        weights = np.linalg.lstsq(inputs[0], np.eye(num_classes)[train['label']], rcond=None)[0]
        return ((inputs[1] @ weights).argmax(axis=1) == val['label']).mean()

    assert len(val['label']) > 250
    assert accuracy('moments') > 0.85
    # chance is 0.2, and its standard deviation over this many objects is below 0.025
    assert accuracy('mask colour') < 0.3
    assert accuracy('box colour') < 0.3
