"""What the import of OpenMMLab's packages brings about, and that the package itself costs nothing to import."""

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from sparse_rcnn_ext import import_hooks

GUARDED = """
import io
import torch
from mmengine.fileio import load
from mmengine.runner.checkpoint import CheckpointLoader
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.engine.checkpoints.safe_loading import load_from_local

known = [entry[1] for entry in torch.serialization.get_safe_globals() if isinstance(entry, tuple)]
assert 'mmengine.logging.history_buffer.HistoryBuffer' in known, known
assert CheckpointLoader._get_checkpoint_loader('a.pth') is load_from_local
try:
    load(io.BytesIO(), file_format='pkl')
except UserError as error:
    assert 'is not read' in str(error)
else:
    raise AssertionError('a .pkl was read')
import mmdet.datasets
import mmdet.models
import sparse_rcnn_ext.models
# Each takes a second or two, which other backbones, and all that is no lane, need not wait for.
assert not {'timm', 'imgaug'} & set(sys.modules)
print(mmdet.models.SingleRoIExtractor.__name__)
"""
# Transforms of lanes, of which only the maintained mmdet has this one, import what they need when they run.
LANES = """
from importlib.util import find_spec

if find_spec('imgaug'):
    import numpy as np
    from mmdet.datasets.transforms.generate_line import ImageAug

    pixels = np.zeros((8, 6, 3), np.uint8)
    pixels[:, 1] = 255
    flip = dict(name='OneOf', transforms=[dict(name='Fliplr', parameters=dict(p=1.0))], p=1.0)
    sized = dict(name='Resize', parameters=dict(size=dict(height=8, width=6)), p=1.0)
    sample = dict(img=pixels, instances=[dict(line=[(1, 2), (1, 6)])], gt_seg_map=pixels[..., 0] // 255)
    turned = ImageAug([sized, flip])(sample)
    assert (turned['img'][:, 4] == 255).all() and (turned['gt_seg_map'][:, 4] == 1).all()
    np.testing.assert_allclose(turned['lines'], [[(5, 2), (5, 6)]])
print('lanes')
"""


def run_python(code: str, *paths: Path) -> str:
    """The output of a fresh interpreter that sees ``paths`` first; a failure is printed with it."""
    prologue = f'import sys; sys.path[:0] = {[str(path) for path in paths]}\n'
    command = [sys.executable, '-c', prologue + textwrap.dedent(code)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()


@pytest.mark.parametrize(
    'before',
    [
        "import sparse_rcnn_ext\nassert not {'torch', 'mmengine', 'cv2', 'numpy'} & set(sys.modules)",
        'import sparse_rcnn_ext\nimport mmengine.fileio\nimport torch',
        'import mmengine.runner, torch, mmcv\nimport sparse_rcnn_ext',
    ],
    ids=['package first', 'torch after mmengine', 'package last'],
)
def test_guards_stand_and_mmdet_imports(repo_dir: Path, before: str) -> None:
    assert run_python(before + GUARDED + LANES, repo_dir).splitlines()[-2:] == ['SingleRoIExtractor', 'lanes']


def test_a_compiled_module_wins(repo_dir: Path, tmp_path: Path) -> None:
    """A file ``_ext.py`` on mmcv's path stands for the compiled module, which Python finds in the same way."""
    (tmp_path / '_ext.py').write_text('nms = "compiled"\n')
    code = f"""
    import sparse_rcnn_ext
    import mmcv
    mmcv.__path__.insert(0, {str(tmp_path)!r})
    import mmcv._ext
    print(mmcv._ext.nms, 'roi_align_forward' in vars(mmcv._ext))
    """
    assert run_python(code, repo_dir) == 'compiled False'


def test_opencv_without_libgl_ends_in_one_sentence(repo_dir: Path, tmp_path: Path) -> None:
    reason = 'libGL.so.1: cannot open shared object file: No such file or directory'
    # As OpenCV's own: a module that imports another one of its name.
    (tmp_path / 'cv2').mkdir()
    (tmp_path / 'cv2/__init__.py').write_text(
        "import sys\nsys.modules.pop('cv2')\nsys.path.insert(0, __path__[0])\nimport cv2\n"
    )
    (tmp_path / 'cv2/cv2.py').write_text(f'raise ImportError({reason!r})\n')
    last = run_python('import sparse_rcnn_ext, mmcv', tmp_path, repo_dir).splitlines()[-1]
    assert last.startswith(f'ImportError: OpenCV cannot be imported ({reason}): run `make install`')
    assert import_hooks.REPAIR in last and last.count('OpenCV cannot') == 1


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What happens, in order, while ``hooked_module`` is imported."""
    events: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        events.append('before')
        yield
        events.append('after')

    (tmp_path / 'hooked_module.py').write_text('import hooked_events\nhooked_events.seen.append(__spec__.name)\n')
    (tmp_path / 'hooked_events.py').write_text('seen = []\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', [import_hooks._ImportHook('hooked_module', around), *sys.meta_path])
    importlib.import_module('hooked_events').seen = events
    yield events
    for name in ('hooked_module', 'hooked_events'):
        sys.modules.pop(name, None)


def test_a_hook_is_around_one_import_and_leaves_no_trace(hooked: list[str]) -> None:
    assert find_spec('hooked_module').loader.get_filename('hooked_module').endswith('hooked_module.py')
    assert hooked == []
    module = importlib.import_module('hooked_module')
    importlib.import_module('hooked_module')
    assert hooked == ['before', 'hooked_module', 'after']
    assert module.__loader__ is module.__spec__.loader
    assert type(module.__loader__).__name__ == 'SourceFileLoader'


def test_an_import_that_failed_can_be_tried_again(hooked: list[str], tmp_path: Path) -> None:
    source = (tmp_path / 'hooked_module.py').read_text()
    (tmp_path / 'hooked_module.py').write_text('raise ImportError("not yet, and then with another length")\n')
    with pytest.raises(ImportError, match='not yet'):
        importlib.import_module('hooked_module')
    (tmp_path / 'hooked_module.py').write_text(source)
    importlib.invalidate_caches()
    importlib.import_module('hooked_module')
    assert hooked == ['before', 'before', 'hooked_module', 'after']


def test_hooks_are_installed_once() -> None:
    before = list(sys.meta_path)
    import_hooks.install_import_hooks()
    assert sys.meta_path == before
