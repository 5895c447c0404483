"""A training leaves a report, and tools/analysis/report.py makes it again."""

import importlib.util
import json
from functools import partial
from pathlib import Path

import pytest

from tests.report.test_page import Page
from tests.report.test_write import FROM_THE_LOG, FROM_THE_MODEL, facts_of, figures_of, pictures_of

HAS_TENSORBOARD = importlib.util.find_spec('tensorboard') is not None
TENSORBOARD = "visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])\n"


@pytest.fixture(scope='module')
def trained(run_here, tiny_config: Path, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a training with the hook on, and its log."""
    folder = tmp_path_factory.mktemp('trained')
    config = folder / 'reported.py'
    settings = f'_base_ = {str(tiny_config)!r}\ndefault_hooks = dict(report=dict(enabled=True, max_images=2))\n'
    config.write_text(settings + TENSORBOARD * HAS_TENSORBOARD)
    run_here('train.py', config, '--work-dir', folder / 'run')
    (log,) = (folder / 'run').glob('*/*.log')
    return folder / 'run', log.read_text()


@pytest.fixture(scope='module')
def tool(run_here):
    return partial(run_here, 'analysis/report.py')


def read_page(run: Path) -> Page:
    return Page((run / 'report.html').read_text())


def test_training_leaves_a_report(trained):
    run, output = trained
    assert 'its report failed' not in output
    page = read_page(run)
    # Random weights may find no second image with an object.
    assert FROM_THE_LOG | FROM_THE_MODEL - {'best'} <= figures_of(page) == pictures_of(run)
    assert 'Each stage as if it were the last, on 2 images.' in page.texts
    assert 'Measured with epoch_1.pth on the val set: 3 images,' in ' '.join(page.texts)
    assert {'PyTorch', 'MMEngine'} <= set(page.texts)
    assert facts_of(page)['iterations'] == '2'


def test_again(trained, tool, capsys):
    run, _ = trained
    first = facts_of(read_page(run))
    (run / 'report.html').unlink()
    tool(run)
    assert capsys.readouterr().out.splitlines()[-1] == f'Wrote {run}/report.html'
    # The detections of the validation, which the training's report took, are those of the checkpoint.
    assert facts_of(read_page(run)) == first
    assert 'Each stage as if it were the last, on 3 images.' in read_page(run).texts


def test_options(trained, tool):
    run, _ = trained
    tool(run, '--images', 1, '--score-thr', 0.9, '--checkpoint', run / 'epoch_1.pth')
    page = read_page(run)
    assert 'Measured with epoch_1.pth on the val set: 1 of 3,' in ' '.join(page.texts)
    assert any(text.startswith('Detections of at least 0.9, IoU ≥ 0.5') for text in page.texts)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--images', '0'], 'error: --images is 0: give at least 1'),
        (['--score-thr', '1.5'], 'error: --score-thr is 1.5: give a number from 0 to 1'),
        (['--checkpoint', 'nowhere.pth'], 'error: no checkpoint file nowhere.pth: --checkpoint must name one'),
        (['--cfg-options', 'val_dataloader.dataset.data_root=nowhere/'], 'nowhere/annotations/instances_val2017.json'),
    ],
)
def test_user_errors_are_one_sentence(trained, tool, arguments, sentence):
    with pytest.raises(SystemExit) as stopped:
        tool(trained[0], *arguments)
    assert sentence in stopped.value.code and '\n' not in stopped.value.code


def test_no_run(tool, tmp_path: Path):
    with pytest.raises(SystemExit, match='is no folder of a run'):
        tool(tmp_path)


def test_one_of_two_processes_writes(run_tool, tiny_config, tmp_path: Path):
    options = ['--work-dir', 'run', '--cfg-options', 'default_hooks.report.enabled=True']
    result = run_tool('dist_train.sh', tiny_config, 2, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count('report.html') == 1
    # The detections of the validation are gathered from both; this is on all images.
    assert 'Measured with epoch_1.pth on the val set: 3 images,' in ' '.join(read_page(tmp_path / 'run').texts)


def test_log_line_of_tensorboard(trained):
    if not HAS_TENSORBOARD:
        pytest.skip('no tensorboard here: pip install tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, _ = trained
    (events,) = run.glob('*/vis_data/events.out.tfevents.*')
    log = EventAccumulator(str(events))
    log.Reload()
    lines = [json.loads(line) for line in next(run.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    for name in ('loss', 's1.loss_iou', 'lr'):
        assert [event.value for event in log.Scalars(name)] == pytest.approx(
            [line[name] for line in lines if name in line]
        )
    assert len(log.Scalars('coco/bbox_mAP')) == 1
