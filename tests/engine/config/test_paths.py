"""Missing files and folders are named, with the setting to change."""

from pathlib import Path

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.paths import check_data_paths, make_folder
from sparse_rcnn_ext.errors import UserError


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'train2017').mkdir()
    (tmp_path / 'train2017/1.jpg').touch()
    (tmp_path / 'train.json').touch()
    return tmp_path


def dataset(root, **changes):
    settings = {'type': 'CocoDataset', 'data_root': str(root), 'ann_file': 'train.json'}
    return settings | {'data_prefix': {'img': 'train2017/'}} | changes


def test_complete(root):
    check_data_paths(Config({'train_dataloader': {'dataset': dataset(root)}}), ('train', 'val'))


def test_missing_annotations(root):
    cfg = Config({'train_dataloader': {'dataset': dataset(root, ann_file='other.json')}})
    with pytest.raises(UserError) as error:
        check_data_paths(cfg, ('train',))
    assert str(error.value) == (
        f'the annotation file {root}/other.json does not exist: set train_dataloader.dataset.data_root or '
        'train_dataloader.dataset.ann_file to where it is'
    )


def test_missing_images_of_a_nested_dataset(root):
    good, bad = dataset(root), dataset(root, data_prefix={'img': 'val2017'})
    nested = {'type': 'RepeatDataset', 'times': 2, 'dataset': {'type': 'ConcatDataset', 'datasets': [good, bad]}}
    with pytest.raises(UserError) as error:
        check_data_paths(Config({'test_dataloader': {'dataset': nested}}), ('train', 'test'))
    assert f'the image folder {root}/val2017 does not exist' in str(error.value)
    assert 'test_dataloader.dataset.dataset.datasets.1.data_prefix.img' in str(error.value)


def test_empty_image_folder(root):
    (root / 'train2017/1.jpg').unlink()
    with pytest.raises(UserError, match=r'image folder .*train2017 is empty'):
        check_data_paths(Config({'train_dataloader': {'dataset': dataset(root)}}), ('train',))


def test_relative_path_says_from_where(root, monkeypatch):
    monkeypatch.chdir(root)
    cfg = Config({'train_dataloader': {'dataset': dataset('data')}})
    with pytest.raises(UserError, match=f'data/train.json does not exist below the current folder {root}:'):
        check_data_paths(cfg, ('train',))


@pytest.mark.parametrize('as_list', [False, True])
def test_missing_annotations_of_an_evaluator(as_list):
    evaluator = {'type': 'CocoMetric', 'ann_file': '/nowhere/val.json'}
    cfg = Config({'val_evaluator': [evaluator] if as_list else evaluator})
    name = r'val_evaluator\.0\.ann_file' if as_list else r'val_evaluator\.ann_file'
    with pytest.raises(UserError, match=f'/nowhere/val.json does not exist: set {name}'):
        check_data_paths(cfg, ('val',))


def test_remote_storage_is_left_to_its_backend():
    remote = dataset('s3://bucket')
    mapped = dataset('data/coco/', backend_args={'backend': 'petrel'})
    cfg = Config({'train_dataloader': {'dataset': {'datasets': [remote, mapped]}}, 'val_dataloader': None})
    check_data_paths(cfg, ('train', 'val'))


def test_it_is_made_with_those_above(tmp_path: Path):
    for _ in range(2):
        make_folder(tmp_path / 'a/b c', '--out')
        assert (tmp_path / 'a/b c').is_dir()


def test_one_that_cannot_be_made(tmp_path: Path):
    (tmp_path / 'file').touch()
    for path in (tmp_path / 'file', tmp_path / 'file/below'):
        with pytest.raises(UserError, match=rf'cannot make the folder {path} \(.*\): name another one as --out$'):
            make_folder(path, '--out')


def test_one_that_is_read_only(tmp_path: Path, monkeypatch):
    # Root may write anywhere.
    monkeypatch.setattr('os.access', lambda *_: False)
    with pytest.raises(UserError, match=r'cannot write into the folder .*: name another one as --out$'):
        make_folder(tmp_path, '--out')
