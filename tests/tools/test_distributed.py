"""Several processes: the launch scripts, run for real over gloo on this machine, and what they compute."""

import json
import random
import re
import runpy
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']
ONE_IMAGE_EACH = ['train_dataloader.batch_size=1', *NO_VALIDATION]


def free_port() -> int:
    """A random one of those that slurm jobs get, so that tests that run side by side do not meet."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) != 0:
                return port


def files_of_run(folder: Path) -> tuple[list[str], int]:
    """Names of the checkpoints of a work dir, and the number of its logs."""
    return sorted(path.name for path in folder.rglob('*.pth')), len(list(folder.rglob('*.log')))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, tiny_config, run_tool):
    """The work dir of a run of dist_train.sh with two processes, and what it printed."""
    folder = tmp_path_factory.mktemp('distributed') / 'work dir'
    arguments = ['--work-dir', folder, '--seed', 0, '--cfg-options', *ONE_IMAGE_EACH]
    result = run_tool('dist_train.sh', tiny_config, 2, *arguments, cwd=folder.parent)
    assert result.returncode == 0, result.stdout
    return folder, result.stdout


def test_two_processes_train_and_save_once(trained):
    folder, printed = trained
    assert files_of_run(folder) == (['epoch_1.pth'], 1)
    assert len(re.findall('Effective batch: 1 .* x 2 .* x 1 .* = 2', printed)) == 1
    (log,) = folder.glob('*/vis_data/scalars.json')
    # 4 images, 2 processes with one each.
    assert [json.loads(line)['step'] for line in log.read_text().splitlines()] == [1, 2]


def test_two_processes_detect_what_one_does(trained, tiny_config, run_tool, tmp_path):
    """3 images over 2 processes: none is lost, none counts twice."""
    checkpoint = trained[0] / 'epoch_1.pth'
    two = run_tool('dist_test.sh', tiny_config, checkpoint, 2, '--out', 'two.json', cwd=tmp_path)
    assert two.returncode == 0, two.stdout
    one = run_tool('test.py', tiny_config, checkpoint, '--out', 'one.json', cwd=tmp_path)
    assert one.returncode == 0, one.stdout
    detections = [json.loads((tmp_path / name).read_text()) for name in ('one.json', 'two.json')]
    assert len({found['image_id'] for found in detections[0]}) == 3 and len(detections[0]) > 3 * 30
    assert detections[0] == detections[1]


def test_two_machines_form_one_job(tiny_config, run_tool, tmp_path):
    port = str(free_port())

    def launch(node: int) -> subprocess.CompletedProcess:
        arguments = ['--work-dir', tmp_path / 'run', '--cfg-options', *ONE_IMAGE_EACH]
        variables = {'NNODES': '2', 'NODE_RANK': str(node), 'MASTER_ADDR': '127.0.0.1', 'PORT': port}
        return run_tool('dist_train.sh', tiny_config, 1, *arguments, cwd=tmp_path, **variables)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(launch, range(2)))
    assert [result.returncode for result in results] == [0, 0], results[0].stdout + results[1].stdout
    jobs = [re.findall(r'Effective batch: 1 .* x (\d) \(processes\)', result.stdout) for result in results]
    assert jobs[0] == ['2'] and jobs[1] in ([], ['2'])
    assert files_of_run(tmp_path / 'run') == (['epoch_1.pth'], 1)


def test_gradient_of_two_processes_is_that_of_one(tiny_config, python, tool_environment, tmp_path):
    worker = Path(__file__).with_name('gradient_worker.py')
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--local-addr', '127.0.0.1', '--nproc-per-node', '2']
    command = [python, *torchrun, worker, tiny_config, tmp_path / 'two.pth']
    result = subprocess.run([*map(str, command)], env=tool_environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    two = torch.load(tmp_path / 'two.pth')
    one = runpy.run_path(str(worker))['step_gradient'](str(tiny_config))
    assert one.keys() == two.keys()
    # Behind a zero-initialised last layer of a residual block there is none.
    assert sum(gradient.norm() > 0 for gradient in one.values()) > len(one) / 2
    for name, gradient in one.items():
        assert (gradient - two[name]).norm() <= 1e-4 * gradient.norm(), name


FAKE_SRUN = """#!/usr/bin/env bash
# Records its arguments; then starts the command after the options as two tasks.
printf '%s\\n' "$@" >"$SRUN_RECORD"
while [[ $1 == -* ]]; do shift; done
export SLURM_NTASKS=2 SLURM_JOB_NODELIST=here SLURM_NODELIST=here
for task in 0 1; do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
    tasks+=($!)
done
wait "${tasks[0]}" && wait "${tasks[1]}"
"""


@pytest.fixture
def slurm(tmp_path, tool_environment) -> dict[str, str]:
    """Environment variables under which srun and scontrol are stand-ins for this one machine."""
    commands = {'srun': FAKE_SRUN, 'scontrol': '#!/usr/bin/env bash\necho 127.0.0.1\n'}
    (tmp_path / 'bin').mkdir()
    for name, text in commands.items():
        (tmp_path / 'bin' / name).write_text(text)
        (tmp_path / 'bin' / name).chmod(0o755)
    return {
        'PATH': f'{tmp_path}/bin:{tool_environment["PATH"]}',
        'SRUN_RECORD': str(tmp_path / 'srun.txt'),
        'SLURM_JOB_ID': str(free_port() - 20000),
        'GPUS': '2',
        'SRUN_ARGS': '--time=10 --quiet',
    }


def test_slurm_train(tiny_config, python, run_tool, tmp_path, slurm, repo_dir):
    arguments = ['--work-dir', tmp_path / 'run', '--cfg-options', *ONE_IMAGE_EACH]
    result = run_tool('slurm_train.sh', 'a partition', 'a job', tiny_config, *arguments, cwd=tmp_path, **slurm)
    assert result.returncode == 0, result.stdout
    recorded = (tmp_path / 'srun.txt').read_text().splitlines()
    start = recorded.index(python)
    assert set(recorded[:start]) == {
        '--partition=a partition',
        '--job-name=a job',
        '--gres=gpu:2',
        '--ntasks=2',
        '--ntasks-per-node=2',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--time=10',
        '--quiet',
    }
    tool = str(repo_dir / 'tools/train.py')
    assert recorded[start + 1 :] == ['-u', tool, str(tiny_config), *map(str, arguments), '--launcher', 'slurm']
    assert len(re.findall('Effective batch: 1 .* x 2 .* x 1 .* = 2', result.stdout)) == 1
    assert files_of_run(tmp_path / 'run') == (['epoch_1.pth'], 1)


def test_slurm_test(tiny_config, python, run_tool, tmp_path, slurm, repo_dir):
    """The command only: what two tasks compute, the tests above cover."""
    (tmp_path / 'bin/srun').write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@" >"$SRUN_RECORD"\n')
    variables = slurm | {'GPUS': '16', 'CPUS_PER_TASK': '3', 'SRUN_ARGS': ''}
    result = run_tool('slurm_test.sh', 'p', 'j', tiny_config, 'some file.pth', '--out', 'o', cwd=tmp_path, **variables)
    assert result.returncode == 0, result.stdout
    recorded = (tmp_path / 'srun.txt').read_text().splitlines()
    assert {'--ntasks=16', '--ntasks-per-node=8', '--gres=gpu:8', '--cpus-per-task=3'} < set(recorded)
    tool = str(repo_dir / 'tools/test.py')
    expected = [python, '-u', tool, str(tiny_config), 'some file.pth', '--out', 'o', '--launcher', 'slurm']
    assert recorded[-len(expected) :] == expected


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_too_few_arguments_print_the_usage(run_tool, tmp_path, script):
    result = run_tool(script, 'config.py', cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout.startswith(f'usage: {script} ')
