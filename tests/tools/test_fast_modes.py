"""tools/train.py and tools/test.py with --compile, --amp and --fuse-conv-bn, run as a user runs them."""

import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch._inductor import cpp_builder, exc

COCO_LINE = re.compile(r'^ Average (?:Precision|Recall) .* = (-?\d\.\d{3})$', re.MULTILINE)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, tiny_config):
    """Weights that no training saw: the tools run alike on them."""
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(tiny_config).model)
    model.init_weights()
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


def test_half_precision_and_folded(tiny_config, checkpoint, run_tool, tmp_path):
    result = run_tool('test.py', tiny_config, checkpoint, '--amp', '--fuse-conv-bn', cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert len(COCO_LINE.findall(result.stdout)) == 12
    assert re.search(r"Fast inference: .*'fuse_conv_bn': True.*'dtype': 'bfloat16', 'compile': False", result.stdout)


def test_no_float16_on_a_cpu(tiny_config, checkpoint, run_tool, tmp_path):
    result = run_tool('test.py', tiny_config, checkpoint, '--amp', 'fp16', cwd=tmp_path)
    assert result.returncode == 1
    assert 'error: inference in float16 needs CUDA' in result.stdout
    assert 'Traceback' not in result.stdout


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_compile_without_a_compiler(tool, tiny_config, checkpoint, run_here, tmp_path, monkeypatch):
    def find():
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, 'get_cpp_compiler', find)
    monkeypatch.setenv('CXX', 'missing++')
    monkeypatch.chdir(tmp_path)
    arguments = [tiny_config] if tool == 'train.py' else [tiny_config, checkpoint]
    with pytest.raises(SystemExit, match=r'^error: torch\.compile found no C\+\+ compiler missing\+\+'):
        run_here(tool, *arguments, '--compile')


def test_compiled_training_and_test(tiny_config, run_tool, tmp_path):
    """The checkpoint has the plain names and scores the same without --compile.

    With a backend that makes graphs only: engine/speed/test_compilation.py has what they compute, and their C++.
    """
    backend = ['--compile', '--cfg-options', 'compile.backend=eager']
    result = run_tool('train.py', tiny_config, '--seed', 0, '--work-dir', 'run', *backend, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert 'Backbone, neck and stages are compiled' in result.stdout
    saved = torch.load(tmp_path / 'run/epoch_1.pth', map_location='cpu', weights_only=False)['state_dict']
    assert set(saved) == set(MODELS.build(Config.fromfile(tiny_config).model).state_dict())
    tables = []
    for options in ([], backend):
        result = run_tool('test.py', tiny_config, 'run/epoch_1.pth', *options, cwd=tmp_path)
        assert result.returncode == 0, result.stdout
        assert ("'compile': {'backend': 'eager'}" in result.stdout) == bool(options)
        tables.append(COCO_LINE.findall(result.stdout))
    assert tables[0] == tables[1]
    assert len(tables[0]) == 12
