"""tools/analysis/replay_batch.py, on the batch that a training of tools/train.py stopped at."""

import re
import shlex

import pytest
import torch

# One checkpoint an iteration, and a rate at which the first step spoils all.
SPOILT = [
    'optim_wrapper.optimizer.lr=1e10',
    'param_scheduler=None',
    'default_hooks.checkpoint.by_epoch=False',
    'default_hooks.checkpoint.interval=1',
]


@pytest.fixture(scope='module')
def stopped(tiny_config, run_tool, tmp_path_factory) -> list[str]:
    """The arguments of the command that the end of the training named."""
    folder = tmp_path_factory.mktemp('stopped')
    options = ['--work-dir', 'a run', '--seed', 0, '--cfg-options', *SPOILT]
    result = run_tool('train.py', tiny_config, *options, cwd=folder)
    assert result.returncode == 1, result.stdout
    (command,) = re.findall(r'; python (tools/.+) shows where it begins$', result.stdout, re.MULTILINE)
    tool, *arguments = shlex.split(command)
    assert tool == 'tools/analysis/replay_batch.py'
    assert arguments == [f'{folder}/a run/{name}' for name in ('tiny.py', 'iter_1.pth', 'non_finite/iter_2.pt')]
    return arguments


def test_it_fails_again(stopped, run_tool, tmp_path):
    result = run_tool('analysis/replay_batch.py', *stopped, '--anomaly', cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert not list(tmp_path.iterdir())
    report = result.stdout[result.stdout.index('The batch of iteration 2, in which s0.loss_cls is nan') :]
    assert 'Losses, computed in full precision:' in report
    assert re.search(r'^  s1\.loss_bbox +stage 1 +nan +not finite$', report, re.MULTILINE)
    assert 'The first module whose output is not finite: backbone.' in report
    assert 'Parameters whose gradient is not finite: backbone.' in report
    assert re.search(r'that gave NaN: \w+Backward0, of line \d+ of \S+\.py, in \w+\.$', report, re.MULTILINE)
    assert len(re.findall(r'/train2017/\d+\.jpg: \d+ boxes; pixels from 0 to 25\d$', report, re.MULTILINE)) == 2
    *_, last = report.splitlines()
    assert last.startswith(f'It fails again with the weights of {stopped[1]}, which is of iteration 1: these weights ')
    assert 'Warning' not in report


def test_it_does_not_fail(stopped, random_detector, run_here, capsys):
    """With the same model, whose weights are small."""
    config, _, batch = stopped
    run_here('analysis/replay_batch.py', config, random_detector[1], batch, '--amp', 'bf16', '--device', 'cpu')
    report = capsys.readouterr().out
    assert 'Losses, computed in bfloat16:' in report and 'not finite' not in report.split('\n\n', 1)[1]
    assert 'gave NaN' not in report
    *_, last = report.splitlines()
    assert last.startswith(f'It does not fail with the weights of {random_detector[1]}: the weights had gone wrong ')


@pytest.mark.parametrize(
    ('place', 'given', 'options', 'sentence'),
    [
        (1, 'nowhere.pth', [], 'no checkpoint file nowhere.pth: the second argument must name one'),
        (2, 'nowhere.pt', [], 'no batch file nowhere.pt: give the file that the end of the training named, '),
        (2, None, [], 'iter_1.pth holds no batch of images: give the file'),
        (0, None, ['--amp', 'fp16', '--device', 'cpu'], 'mixed precision in float16 needs CUDA: '),
        (0, None, ['--device', 'cuda:99'], '--device cuda:99 is not to be had here ('),
        (0, None, ['--cfg-options', 'model.rpn_head.num_proposals=7'], 'iter_1.pth does not fit the config; '),
    ],
)
def test_mistakes(stopped, run_here, place, given, options, sentence):
    arguments = list(stopped)
    if place:
        arguments[place] = given or stopped[1]
    with pytest.raises(SystemExit) as stop:
        run_here('analysis/replay_batch.py', *arguments, *options)
    text = str(stop.value.code)
    assert text.startswith('error: ') and sentence in text and '\n' not in text


def test_weights_and_precision_are_those_of_the_training(stopped, run_here, capsys, tmp_path):
    """Not their average, which a training with EMAHook saves in their place; and its weights that are not finite."""
    config, checkpoint, batch = stopped
    content = torch.load(checkpoint, weights_only=True)
    state = content['state_dict']
    ill = {f'module.{name}': value.clone() for name, value in state.items()}
    ill['module.rpn_head.init_proposal_bboxes.weight'][0] = torch.nan
    torch.save(content | dict(ema_state_dict=ill), tmp_path / 'averaged.pth')
    amp = 'optim_wrapper.type=sparse_rcnn_ext.AmpOptimWrapper'
    options = ['--cfg-options', amp, 'optim_wrapper.dtype=bfloat16']
    run_here('analysis/replay_batch.py', config, tmp_path / 'averaged.pth', batch, *options)
    report = capsys.readouterr().out
    assert 'Losses, computed in bfloat16:' in report
    assert report.splitlines()[-1].endswith(
        ': rpn_head.init_proposal_bboxes.weight is not finite in it, so take an earlier checkpoint.'
    )
