"""No code of a checkpoint runs, whichever part of mmengine or mmdet loads it."""

import functools
import http.server
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import mmengine
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from sparse_rcnn_ext.engine.checkpoints.safe_loading import CONFIG_TEXT
from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints
from sparse_rcnn_ext.engine.checkpoints.verified_download import sha256_of
from sparse_rcnn_ext.errors import UserError
from tests.engine.hostile import CODE, Payload, has_run
from tests.engine.line_runner import make_runner

pytestmark = pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')


class Pretrained(BaseModule):
    """A module that names the weights it starts from."""

    def __init__(self, path: str) -> None:
        super().__init__(dict(type='Pretrained', checkpoint=path))
        self.linear = nn.Linear(2, 1)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    """The checkpoint of a training with averaged weights."""
    work_dir = tmp_path_factory.mktemp('run')
    make_runner(work_dir, max_epochs=1).train()
    return work_dir / 'epoch_1.pth'


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    trust_checkpoints(False)


def saved(source: Path, **changes) -> str:
    """The same checkpoint with other entries, in the working directory."""
    torch.save({**torch.load(source, weights_only=True), **changes}, 'crafted.pth')
    return str(Path('crafted.pth').resolve())


def train(path: str, resume: bool) -> None:
    make_runner(Path('run').resolve(), 2, Path(path), resume).train()


ENTRIES = {
    'load_checkpoint': lambda path: load_checkpoint(nn.Linear(2, 1), path),
    'address of a file': lambda path: load_checkpoint(nn.Linear(2, 1), f'file://{path}'),
    'init_cfg': lambda path: Pretrained(path).init_weights(),
    'prefix': lambda path: mmengine_checkpoint._load_checkpoint_with_prefix('linear', path),
    'load_from': lambda path: train(path, resume=False),
    'resume': lambda path: train(path, resume=True),
}


@pytest.mark.parametrize('entry', ENTRIES)
def test_objects_are_refused_by_name(entry, checkpoint):
    path = saved(checkpoint, payload=Payload())
    with pytest.raises(UserError, match=r'crafted\.pth holds pathlib\.\S+, which could run code: .*--trust-checkpoint'):
        ENTRIES[entry](path)
    assert not has_run()


def test_the_payload_is_live(checkpoint):
    path = saved(checkpoint, payload=Payload())
    # mmengine's own way to a download.
    mmengine_checkpoint.load_url(f'file://{path}', model_dir='.')
    assert has_run()


@pytest.mark.parametrize('entry', ENTRIES)
def test_own_checkpoints_load(entry, checkpoint):
    ENTRIES[entry](str(checkpoint))


def test_config_text_is_not_run_to_resume(checkpoint):
    meta = torch.load(checkpoint, weights_only=True)['meta']
    path = saved(checkpoint, meta=dict(meta, config=CODE))
    train(path, resume=True)
    assert not has_run()
    # What mmengine's resume does with it.
    Config.fromstring(CODE, '.py')
    assert has_run()


def test_config_text_is_not_run_by_an_inferencer(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    hub = content['message_hub']
    hub['runtime_info']['cfg'] = CODE
    path = saved(checkpoint, message_hub=hub, meta=dict(content['meta'], cfg=CODE))
    with pytest.raises(ValueError, match='Cannot find the config in the checkpoint'):
        DetInferencer(weights=path, device='cpu')
    assert not has_run()


def test_config_text_stays_to_be_read(checkpoint):
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint))
    plain = torch.load(checkpoint, weights_only=True)
    assert loaded[CONFIG_TEXT] == plain['message_hub']['runtime_info']['cfg']
    assert 'cfg' not in loaded['meta'] and 'cfg' in plain['meta']


def test_a_resumed_run_records_its_own_config(checkpoint):
    """mmengine would go on with the text of the config from before."""
    hub = torch.load(checkpoint, weights_only=True)['message_hub']
    hub['runtime_info']['cfg'] = 'before = 1'
    runner = make_runner(Path('run').resolve(), 2, Path(saved(checkpoint, message_hub=hub)))
    runner.train()
    assert runner.message_hub.get_info('cfg') == runner.cfg.pretty_text


def test_trusted_checkpoints_load(checkpoint):
    trust_checkpoints()
    load_checkpoint(nn.Linear(2, 1), saved(checkpoint, payload=Payload()))
    assert has_run()


def test_old_files_and_archives_of_code(checkpoint):
    torch.save(dict(state_dict={}, payload=Payload()), 'old.pth', _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r'old\.pth holds pathlib\.\S+, which could run code'):
        load_checkpoint(nn.Linear(2, 1), 'old.pth')
    torch.jit.script(nn.Linear(2, 1)).save('script.pth')
    with pytest.raises(UserError, match=r'script\.pth cannot be read as a checkpoint'):
        load_checkpoint(nn.Linear(2, 1), 'script.pth')
    Path('plain.pth').write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match=r'plain\.pth'):
        load_checkpoint(nn.Linear(2, 1), 'plain.pth')
    assert not has_run()


def test_torch_that_cannot_load_safely(checkpoint, monkeypatch):
    path = saved(checkpoint, payload=Payload())
    monkeypatch.setattr(torch, '__version__', torch.torch_version.TorchVersion('2.5.1'))
    with pytest.raises(UserError, match=r'cannot be read safely with torch 2\.5\.1: take torch 2\.6'):
        load_checkpoint(nn.Linear(2, 1), path)
    assert not has_run()


def test_pickles_of_results_are_not_read():
    """mmdet's analysis tools take such files."""
    mmengine.dump([Payload()], 'results.pkl')
    with pytest.raises(UserError, match=r'a \.pkl file could run code'):
        mmengine.load('results.pkl')
    with Path('results.pkl').open('rb') as file, pytest.raises(UserError):
        mmengine.load(file, file_format='pickle')
    assert not has_run()
    trust_checkpoints()
    mmengine.load('results.pkl')
    assert has_run()


def test_no_scheme_of_mmengine_is_left():
    modules = {loader.__module__ for loader in CheckpointLoader._schemes.values()}
    assert modules == {'sparse_rcnn_ext.engine.checkpoints.safe_loading'}
    with pytest.raises(UserError, match='storage service'):
        CheckpointLoader.load_checkpoint('s3://bucket/a.pth')
    with pytest.raises(UserError, match='torchvision has no model resnet51'):
        CheckpointLoader.load_checkpoint('torchvision://resnet51')
    with pytest.raises(UserError, match=r'no checkpoint file absent\.pth'):
        CheckpointLoader.load_checkpoint('absent.pth')


@pytest.mark.parametrize(
    ('source', 'ending'),
    [
        ('torchvision://resnet50', 'resnet50-0676ba61.pth'),
        ('open-mmlab://detectron2/resnet50_caffe', 'resnet50_msra-5891d200.pth'),
        ('mmcls://mobilenet_v2', '.pth'),
    ],
)
def test_names_of_models_become_downloads(source, ending, checkpoint, monkeypatch):
    asked = []

    def download(address: str) -> Path:
        asked.append(address)
        return Path(saved(checkpoint, state_dict={'backbone.a': torch.ones(1)}))

    monkeypatch.setattr('sparse_rcnn_ext.engine.checkpoints.checkpoint_file.download', download)
    state = CheckpointLoader.load_checkpoint(source)['state_dict']
    assert asked[0].startswith('https://') and asked[0].endswith(ending)
    assert list(state) == (['a'] if source.startswith('mmcls') else ['backbone.a'])


def test_downloads_are_read_safely(checkpoint, monkeypatch):
    """On the stack alone a download is unpickled, with any torch."""
    path = Path(saved(checkpoint, payload=Payload()))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=path.parent)
    monkeypatch.setattr('torch.hub.get_dir', lambda: str(path.parent / 'hub'))
    # A proxy would look for the address on its own machine.
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f'http://127.0.0.1:{server.server_port}/crafted.pth'
        try:
            with pytest.raises(UserError, match='which could run code'):
                CheckpointLoader.load_checkpoint(f'{address}#sha256={sha256_of(path)}')
            assert not has_run()
        finally:
            server.shutdown()
