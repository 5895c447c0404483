"""Pickles of arrays are read, in every protocol; whatever could run code is refused by its name, and does not run."""

import os
import pickle
from collections import OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.convert.checkpoint_files import RefusedError, load_plain_pickle

CONTENT = {
    'model': OrderedDict(weight=np.arange(6, dtype=np.float32).reshape(2, 3), empty=np.empty((0, 4), np.float64)),
    '__author__': 'someone',
    'matching_heuristics': True,
    'more': [np.float32(0.5), np.array(7), np.array([True]), (1, b'\xff\x00', None, {2.5})],
}


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def dump(path: Path, content: object, protocol: int = 4) -> str:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return str(path)


@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers(protocol, tmp_path):
    content = dict(CONTENT)
    if protocol < 4:
        content['more'] = CONTENT['more'][:3]  # sets are calls there
    found = load_plain_pickle(dump(tmp_path / 'a.pkl', content, protocol))
    assert list(found) == list(content)
    for name, value in content['model'].items():
        np.testing.assert_array_equal(found['model'][name], value, strict=True)
    assert found['__author__'] == 'someone' and found['matching_heuristics'] is True
    assert found['more'][:2] == content['more'][:2]
    assert found['more'][3:] == content['more'][3:]


@pytest.mark.parametrize('array', [np.arange(3, dtype='>f4'), np.asfortranarray(np.arange(6.0).reshape(2, 3))])
def test_other_layouts(array, tmp_path):
    np.testing.assert_array_equal(load_plain_pickle(dump(tmp_path / 'a.pkl', array, 5)), array)


def test_a_file_of_python_2(tmp_path):
    """Its text is bytes: {'model': 'caf\\xe9'}."""
    (tmp_path / 'a.pkl').write_bytes(b'\x80\x02}U\x05modelU\x04caf\xe9s.')
    assert load_plain_pickle(str(tmp_path / 'a.pkl')) == {'model': 'café'}


def dangerous(folder: Path) -> dict[str, object]:
    """Objects by the name that is to be told; each would write a file."""
    target = str(folder / 'written')
    return {
        f'{os.system.__module__}.system': Runs(os.system, f'touch {target}'),
        'builtins.eval': Runs(eval, f'open({target!r}, "w")'),
        'builtins.getattr': Runs(getattr, Path(target), 'touch'),
        'functools.partial': partial(os.mkdir, target),
        'fractions.Fraction': Fraction(1, 3),
        'torch._utils._rebuild_tensor_v2': torch.zeros(2),
    }


def array_of(value: object) -> np.ndarray:
    array = np.empty(2, dtype=object)
    array[0] = value
    return array


@pytest.mark.parametrize('name', dangerous(Path()))
@pytest.mark.parametrize('nest', [lambda x: x, lambda x: dict(model=dict(a=[x])), array_of])
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_everything_else_is_refused_by_name(name, nest, protocol, tmp_path):
    path = dump(tmp_path / 'a.pkl', nest(dangerous(tmp_path)[name]), protocol)
    with pytest.raises(RefusedError) as error:
        load_plain_pickle(path)
    assert str(error.value) == (name.replace('builtins', '__builtin__') if protocol == 2 else name)
    assert [file.name for file in tmp_path.iterdir()] == ['a.pkl']


def test_other_codecs_are_refused(tmp_path):
    """A codec may be any code that a program registered."""
    import _codecs

    with pytest.raises(RefusedError, match='the codec rot13'):
        load_plain_pickle(dump(tmp_path / 'a.pkl', Runs(_codecs.encode, 'abc', 'rot13')))


def test_nested_attributes_are_refused(tmp_path):
    """Protocol 4 can name ``numpy:ndarray.tofile``, a method by which a file could be written."""
    (tmp_path / 'a.pkl').write_bytes(b'\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.')
    with pytest.raises(RefusedError, match=r'numpy\.ndarray\.tofile'):
        load_plain_pickle(str(tmp_path / 'a.pkl'))
