"""Published files hold the weights that count, and nothing else."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sparse_rcnn_ext.engine.checkpoints.checkpoint_file import read_checkpoint
from sparse_rcnn_ext.engine.checkpoints.publishing import publish
from sparse_rcnn_ext.errors import UserError
from tests.engine.hostile import Payload
from tests.engine.line_runner import make_runner

META = dict(dataset_meta=dict(classes=('ant', 'bee')), experiment_name='my-recipe_20260101_120000', epoch=3, iter=30)


def saved(folder: Path, **entries) -> Path:
    torch.save(entries, folder / 'epoch_3.pth')
    return folder / 'epoch_3.pth'


def test_content_and_name(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    state = {'module.a': shared, 'b': shared.t(), 'count': torch.tensor(4), 'ema_a': torch.zeros(2, 3)}
    source = saved(tmp_path, meta=META, state_dict=state, optimizer={'state': {0: torch.ones(9)}})
    published = publish(source, tmp_path / 'model.safetensors')
    digest = hashlib.sha256(published.path.read_bytes()).hexdigest()
    assert published.sha256 == digest
    assert published.path == tmp_path / f'model-{digest[:8]}.safetensors'
    assert published.facts == dict(
        classes=['ant', 'bee'],
        config='my-recipe',
        epoch=3,
        iter=30,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
    )
    assert published.parameters == 13
    with safe_open(published.path, 'pt') as file:
        assert set(file.keys()) == {'a', 'b', 'count'}
    loaded = read_checkpoint(str(published.path))
    assert loaded['meta']['dataset_meta']['classes'] == ('ant', 'bee')
    assert torch.equal(loaded['state_dict']['a'], shared) and torch.equal(loaded['state_dict']['b'], shared.t())
    assert sorted(path.name for path in tmp_path.iterdir()) == ['epoch_3.pth', published.path.name]


def test_the_same_file_each_time(tmp_path):
    source = saved(tmp_path, meta=META, state_dict={f'layer.{i}': torch.full((3,), float(i)) for i in range(20)})
    assert len({publish(source, tmp_path / 'model.safetensors').sha256 for _ in range(5)}) == 1


def test_averaged_weights(tmp_path):
    runner = make_runner(tmp_path / 'run', max_epochs=2)
    runner.train()
    content = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)
    source = saved(tmp_path, **{**content, 'meta': {**content['meta'], **META}})
    state = read_checkpoint(str(publish(source, tmp_path / 'line.safetensors').path))['state_dict']
    (ema,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    averaged = ema.ema_model.module.state_dict()
    assert set(state) == set(averaged)
    for name, value in runner.model.state_dict().items():
        assert torch.equal(state[name], averaged[name])
        assert not torch.equal(state[name], value)


def test_names_of_mmdet_2_and_a_given_config(tmp_path):
    source = saved(tmp_path, meta=dict(CLASSES=('ant', 'bee')), state_dict={'a': torch.ones(1)})
    facts = publish(source, tmp_path / 'a.safetensors', 'configs/recipe.py').facts
    assert facts['config'] == 'recipe' and facts['classes'] == ['ant', 'bee']


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (dict(meta=META, state_dict={'a': torch.ones(1)}, payload=Payload()), 'could run code'),
        (dict(meta={}, state_dict={'a': torch.ones(1)}), 'no names of classes'),
        (dict(meta=dict(CLASSES=('a',)), state_dict={'a': torch.ones(1)}), 'give --config NAME'),
        (dict(meta=META, state_dict={'a': 'text'}), 'holds a str as a'),
    ],
)
@pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')
def test_what_cannot_be_published(tmp_path, entries, message):
    source = saved(tmp_path, **entries)
    with pytest.raises(UserError, match=message):
        publish(source, tmp_path / 'a.safetensors')
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_3.pth']


def test_where_it_cannot_go(tmp_path):
    source = saved(tmp_path, meta=META, state_dict={'a': torch.ones(1)})
    with pytest.raises(UserError, match=r'ends in \.safetensors'):
        publish(source, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='make it first'):
        publish(source, tmp_path / 'absent/a.safetensors')


def test_full_disk_is_one_sentence(tmp_path, monkeypatch):
    source = saved(tmp_path, meta=META, state_dict={'a': torch.ones(1)})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(UserError, match=r'cannot be written \(No space left on device\): free some space'):
        publish(source, tmp_path / 'a.safetensors')
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_3.pth']


@pytest.mark.parametrize('facts', ['{"classes": 5}', '{"classes": {}}', '[1]', '7'])
def test_crafted_facts_are_no_classes(tmp_path, facts):
    save_file({'a': torch.ones(1)}, tmp_path / 'a.safetensors', {'sparse_rcnn_ext': facts})
    assert 'dataset_meta' not in read_checkpoint(str(tmp_path / 'a.safetensors'))['meta']


@pytest.mark.parametrize('facts', ['no JSON', '[' * 100000])
def test_crafted_facts_that_are_no_json(tmp_path, facts):
    save_file({'a': torch.ones(1)}, tmp_path / 'a.safetensors', {'sparse_rcnn_ext': facts})
    with pytest.raises(UserError, match='cannot be read as safetensors'):
        read_checkpoint(str(tmp_path / 'a.safetensors'))


def test_damaged_files(tmp_path):
    source = saved(tmp_path, meta=META, state_dict={'a': torch.ones(100)})
    path = publish(source, tmp_path / 'a.safetensors').path
    content = path.read_bytes()
    for damaged in (b'', b'hello', content[:-9], content[:40], b'\xff' * 8 + content[8:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match='cannot be read as safetensors'):
            read_checkpoint(str(path))
