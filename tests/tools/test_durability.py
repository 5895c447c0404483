"""tools/train.py where its disk is full or read-only, and told to stop; a full or read-only disk is a real one."""

import errno
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from sparse_rcnn_ext.engine.checkpoints.atomic_file import explain_disk_errors
from sparse_rcnn_ext.engine.checkpoints.resuming import is_whole
from sparse_rcnn_ext.errors import UserError
from tests.fork_server import LIMIT

NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']


@pytest.fixture(scope='module')
def on_own_disk(repo_dir, python, tool_environment, tmp_path_factory):
    """``on_own_disk(options, arguments)`` trains into a file system of its own; code, output, and what is there."""
    if subprocess.run(['unshare', '--map-root-user', '--mount', 'true'], capture_output=True).returncode:
        pytest.skip('unshare may not mount a file system here')

    def run(options: str, arguments: list[str]) -> tuple[int, str, Path]:
        folder = tmp_path_factory.mktemp('disk')
        disk, found = folder / 'disk', folder / 'found'
        disk.mkdir()
        # It is gone with the process.
        script = f'mount -t tmpfs -o {options} none {disk}; "$@"; code=$?; cp -r {disk} {found}; exit $code'
        command = [python, repo_dir / 'tools/train.py', *arguments, '--work-dir', disk / 'run']
        result = subprocess.run(
            ['unshare', '--map-root-user', '--mount', 'sh', '-c', script, 'sh', *map(str, command)],
            env=tool_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        return result.returncode, result.stdout, found / 'run'

    return run


def test_disk_full(on_own_disk, run_tool, tiny_config, tmp_path):
    """Room for one checkpoint: the second one is refused in a sentence, and the first stays."""
    arguments = [str(tiny_config), '--cfg-options', 'train_cfg.max_epochs=2', *NO_VALIDATION]
    arguments.append('default_hooks.checkpoint.max_keep_ckpts=1')
    roomy = run_tool('train.py', *arguments, '--work-dir', tmp_path / 'run', cwd=tmp_path)
    assert roomy.returncode == 0, roomy.stdout
    size = (tmp_path / 'run/epoch_2.pth').stat().st_size
    logs = sum(path.stat().st_size for path in (tmp_path / 'run').rglob('*') if path.is_file()) - size

    code, printed, found = on_own_disk(f'size={int(1.5 * size + 2 * logs)}', arguments)
    assert code == 1, printed
    *_, last = printed.splitlines()
    assert re.fullmatch(
        r'error: \S+/run/epoch_2\.pth cannot be written \(No space left on device\): free some space; a training goes '
        'on with --resume, as the checkpoints written before are whole',
        last,
    )
    assert 'Traceback' not in printed
    assert [path.name for path in found.glob('*.pth*')] == ['epoch_1.pth']
    assert is_whole(found / 'epoch_1.pth')
    assert (found / 'last_checkpoint').read_text() == 'epoch_1.pth'


def test_disk_that_must_not_be_written(on_own_disk, tiny_config):
    code, printed, _ = on_own_disk('ro', [str(tiny_config)])
    assert code == 1
    *_, last = printed.splitlines()
    assert re.fullmatch(
        r'error: \S+/run cannot be written \(Read-only file system\): give a folder that can be written; '
        'that of a training is --work-dir FOLDER',
        last,
    )
    assert 'Traceback' not in printed


@pytest.mark.parametrize(('name', 'explained'), [('run/TIME/TIME.log', True), ('elsewhere/a.jpg', False)])
def test_disk_full_of_logs(tmp_path, name, explained):
    """An error of another place is not the run's."""
    error = OSError(errno.ENOSPC, 'No space left on device', str(tmp_path / name))
    kind = UserError if explained else OSError
    with pytest.raises(kind, match='No space left on device'), explain_disk_errors(tmp_path / 'run'):
        raise error


def test_sigterm_and_resume(repo_dir, tiny_config, python, tool_environment, run_tool, tmp_path):
    """The recipes have the hooks: a stop within an epoch, and the training goes on there."""
    options = ['--cfg-options', 'train_cfg.max_epochs=300', *NO_VALIDATION]
    arguments = [repo_dir / 'tools/train.py', tiny_config, '--work-dir', tmp_path / 'run', *options]
    with (tmp_path / 'out').open('w') as out:
        process = subprocess.Popen(
            [python, *map(str, arguments)], env=tool_environment, stdout=out, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + LIMIT
    while 'Epoch(train)' not in (tmp_path / 'out').read_text():
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / 'out').read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 143
    printed = (tmp_path / 'out').read_text()
    assert 'Traceback' not in printed
    iteration = int(re.search(r'Stopped by SIGTERM after iteration (\d+)', printed)[1])
    epochs = (iteration + 1) // 2 + 1
    options = ['--resume', '--work-dir', tmp_path / 'run', '--cfg-options', f'train_cfg.max_epochs={epochs}']
    result = run_tool('train.py', tiny_config, *options, *NO_VALIDATION, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert f'iter: {iteration}\n' in result.stdout
    state = torch.load(tmp_path / f'run/epoch_{epochs}.pth', weights_only=True)
    # Two iterations an epoch: none was done twice, none left out.
    assert state['meta']['iter'] == 2 * epochs


def test_resume_without_a_checkpoint_keeps_load_from(tiny_config, run_tool, tmp_path):
    """mmdet's tools/train.py drops it, and starts from scratch."""
    cfg = Config.fromfile(tiny_config)
    start = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=start), tmp_path / 'start.pth')
    options = [*NO_VALIDATION, 'load_from=start.pth', 'train_dataloader.dataset.indices=2']
    # So that the weights at the end are those at the start.
    options.append('optim_wrapper.optimizer.lr=0.0')
    result = run_tool('train.py', tiny_config, '--work-dir', 'run', '--resume', '--cfg-options', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert 'Load checkpoint from start.pth' in result.stdout and 'resumed epoch' not in result.stdout
    end = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=True)['state_dict']
    weight = 'roi_head.bbox_head.0.fc_cls.weight'
    assert torch.equal(start[weight], end[weight])


def test_mmdets_tool_drops_load_from(tiny_config, run_process, tmp_path):
    tool = Path(mmdet.__file__).parent / '.mim/tools/train.py'
    options = ['load_from=start.pth', 'train_cfg.max_epochs=0', 'val_cfg=None', 'val_dataloader=None']
    arguments = [str(tiny_config), '--work-dir', 'run', '--resume', '--cfg-options', *options, 'val_evaluator=None']
    code, printed = run_process(str(tool), arguments, tmp_path)
    # There is no start.pth: it was not even looked for.
    assert code == 0, printed
    assert 'Load checkpoint' not in printed


@pytest.mark.parametrize(('given', 'passed'), [({}, '0'), ({'MAX_RESTARTS': '3'}, '3')])
def test_launch_script_passes_restarts_on(repo_dir, tmp_path, given, passed):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {'PYTHON': str(python)} | given
    command = [repo_dir / 'tools/dist_train.sh', 'config.py', '2', '--seed', '1']
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert printed[printed.index('--max-restarts') + 1] == passed
    assert printed[printed.index('--nproc-per-node') + 1] == '2'
