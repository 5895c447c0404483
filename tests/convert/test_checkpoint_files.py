"""Weights from detectron2's and mmengine's files, and to them."""

import pickle
import re

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.convert import read_weights, write_official, write_ours
from sparse_rcnn_ext.errors import UserError

STATE = {'a.weight': torch.arange(6.0).reshape(2, 3), 'b': torch.tensor([1, 2]), 'c': torch.tensor(0.5).double()}


class Anything:
    pass


def assert_same(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
def test_official_round_trip(suffix, tmp_path):
    path = str(tmp_path / f'new folder/a{suffix}')
    write_official(STATE, path)
    found = read_weights(path)
    assert_same(found, STATE)
    found['a.weight'] += 1  # its memory is its own


def test_what_detectron2_looks_for(tmp_path):
    write_official(STATE, str(tmp_path / 'a.pkl'))
    content = pickle.loads((tmp_path / 'a.pkl').read_bytes())
    assert set(content) == {'model', '__author__'}
    assert all(type(value) is np.ndarray for value in content['model'].values())
    write_official(STATE, str(tmp_path / 'a.pth'))
    assert set(torch.load(tmp_path / 'a.pth')) == {'model'}


def test_ours(tmp_path):
    write_ours(STATE, str(tmp_path / 'a.pth'))
    assert set(torch.load(tmp_path / 'a.pth')) == {'meta', 'state_dict'}
    assert_same(read_weights(str(tmp_path / 'a.pth')), STATE)


@pytest.mark.parametrize('zipped', [True, False])
def test_weights_with_other_things_beside(zipped, tmp_path):
    """As detectron2 saves them while it trains, also with the torch of its time."""
    content = dict(model=STATE, optimizer=dict(state={0: STATE}, param_groups=[dict(lr=0.1)]), iteration=5)
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    assert_same(read_weights(str(tmp_path / 'a.pth')), STATE)


def test_names_of_distributed_training(tmp_path):
    torch.save(dict(state_dict={f'module.{name}': value for name, value in STATE.items()}), tmp_path / 'a.pth')
    assert_same(read_weights(str(tmp_path / 'a.pth')), STATE)


def test_bare_weights_and_the_order_of_bytes(tmp_path):
    arrays = {'a.weight': np.arange(6, dtype='>f4').reshape(2, 3)}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(arrays))
    assert_same(read_weights(str(tmp_path / 'a.pkl')), {'a.weight': STATE['a.weight']})


REFUSED = {
    'list': ([1, 2], 'holds (a list and no weights|no weights by name)'),
    'nothing': ({}, 'holds no weights by name'),
    'other model': (dict(model=[1]), 'holds no weights by name'),
    'number': (dict(model=dict(a=5)), 'holds a int as a: '),
}


@pytest.mark.parametrize('save', ['pickle', 'torch'])
@pytest.mark.parametrize(('content', 'words'), REFUSED.values(), ids=REFUSED)
def test_files_without_weights(save, content, words, tmp_path):
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(content)) if save == 'pickle' else torch.save(content, path)
    with pytest.raises(UserError, match=f'{re.escape(str(path))} {words}'):
        read_weights(str(path))


@pytest.mark.parametrize('save', ['pickle', 'torch'])
def test_objects_are_refused_by_name(save, tmp_path):
    path, content = tmp_path / 'a.pkl', dict(model=STATE if save == 'torch' else {}, more=Anything())
    path.write_bytes(pickle.dumps(content)) if save == 'pickle' else torch.save(content, path)
    name = re.escape(f'{Anything.__module__}.Anything')
    with pytest.raises(UserError, match=rf'a\.pkl holds {name}, which could run code: give a .*--trust-checkpoint'):
        read_weights(str(path))


def test_arrays_of_objects(tmp_path):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(dict(model=dict(a=np.array([None])))))
    with pytest.raises(UserError, match='holds a ndarray as a: give a checkpoint of tensors or NumPy arrays'):
        read_weights(str(tmp_path / 'a.pkl'))


@pytest.mark.parametrize('kind', ['text', 'empty', 'cut pickle', 'cut .pth', 'zip'])
def test_other_files(kind, tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(STATE, path)
    contents = {
        'text': b'model: 5\n',
        'empty': b'',
        'cut pickle': pickle.dumps({name: value.numpy() for name, value in STATE.items()})[:-20],
        'cut .pth': path.read_bytes()[:-30],
        'zip': b'PK\x05\x06' + bytes(18),
    }
    path.write_bytes(contents[kind])
    with pytest.raises(UserError, match=r'a\.pth cannot be read as a checkpoint \((?!Weights only)\S.*\): give '):
        read_weights(str(path))


def test_names_of_files(tmp_path):
    with pytest.raises(UserError, match=r'no checkpoint file nowhere\.pth: the first argument'):
        read_weights('nowhere.pth')
    with pytest.raises(UserError, match=r'second argument is a\.pkl: give a file that ends in \.pth$'):
        write_ours(STATE, 'a.pkl')
    with pytest.raises(UserError, match=r'second argument is a\.bin: give a file that ends in \.pth or \.pkl'):
        write_official(STATE, 'a.bin')
