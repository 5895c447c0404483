"""The hook writes a report when a training ends, and never stands in its way."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.config import Config
from mmengine.registry import HOOKS
from mmengine.runner.priority import get_priority

from sparse_rcnn_ext.report.hook import ReportHook
from tests.engine.hooks.small_runner import NoMetric, SmallDetector, make_runner

DETECTIONS = [dict(img_id=1)]


class Metric(NoMetric):
    """Keeps its detections as the CocoMetric does."""

    last_detections = DETECTIONS


@pytest.fixture
def written(monkeypatch) -> list[SimpleNamespace]:
    """The calls of write_report, which does nothing."""
    calls = []

    def write_report(run, **settings):
        calls.append(SimpleNamespace(run=run, **settings))
        return run / 'report.html'

    monkeypatch.setattr('sparse_rcnn_ext.report.write.write_report', write_report)
    return calls


def train(folder: Path, hook: ReportHook, caplog, **settings) -> list[str]:
    """Train; what was warned of the report."""
    runner = make_runner(folder, [hook], SmallDetector(2), val_evaluator=[Metric()], **settings)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert (folder / 'last_checkpoint').is_file()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [text for text in warnings if 'report' in text]


def test_once_after_the_last_checkpoint(tmp_path, written, caplog):
    seen = []

    class Watched(ReportHook):
        def after_train(self, runner):
            seen.append((Path(runner.work_dir) / 'epoch_1.pth').is_file())
            super().after_train(runner)

    assert train(tmp_path, Watched(max_images=7, score_thr=0.4), caplog) == []
    (call,) = written
    assert seen == [True]
    assert (call.run, call.max_images, call.score_thr) == (tmp_path, 7, 0.4)
    assert call.detections is DETECTIONS and call.dataset.metainfo == dict(classes=('cat', 'dog'))
    assert f'Wrote {tmp_path}/report.html' in [record.getMessage() for record in caplog.records]


def test_detections_of_several_data_sets(tmp_path, written):
    """In the order of the data sets; none where one of them keeps none."""

    class Second(Metric):
        last_detections = [dict(img_id=2)]

    class Several(MultiDatasetsEvaluator):
        def evaluate(self, size: int) -> dict:
            return {}

    for number, (metrics, expected) in enumerate(
        [((Metric(), Second()), [*DETECTIONS, dict(img_id=2)]), ((Metric(), NoMetric()), None)]
    ):
        evaluator = Several(metrics, ['a', 'b'])
        make_runner(tmp_path / str(number), [ReportHook()], SmallDetector(2), val_evaluator=evaluator).train()
        assert written[-1].detections == expected


def test_detections_of_other_weights_are_not_taken(tmp_path, written, caplog):
    """Here the last checkpoint is of the first epoch, and the validation of the second."""
    saving = dict(type='CheckpointHook', interval=1, save_last=False)

    class Older(ReportHook):
        def after_train(self, runner):
            checkpoint = torch.load(tmp_path / 'epoch_1.pth')
            checkpoint['meta']['iter'] -= 1
            torch.save(checkpoint, tmp_path / 'epoch_1.pth')
            super().after_train(runner)

    train(tmp_path, Older(), caplog, default_hooks=dict(logger=None, checkpoint=saving))
    assert written[0].detections is None and written[0].dataset is not None


def test_without_validation(tmp_path, written, caplog):
    runner = make_runner(
        tmp_path, [ReportHook()], SmallDetector(2), val_dataloader=None, val_evaluator=None, val_cfg=None
    )
    runner.train()
    assert written[0].detections is None and written[0].dataset is None


def test_metric_that_keeps_no_detections(tmp_path, written):
    make_runner(tmp_path, [ReportHook()], SmallDetector(2)).train()
    assert written[0].detections is None


@pytest.mark.parametrize(('enabled', 'rank', 'expected'), [(True, 0, 1), (False, 0, 0), (True, 1, 0)])
def test_switched_off_or_another_process(tmp_path, written, monkeypatch, enabled, rank, expected):
    monkeypatch.setattr('sparse_rcnn_ext.report.hook.is_main_process', lambda: rank == 0)
    make_runner(tmp_path, [ReportHook(enabled=enabled)], SmallDetector(2)).train()
    assert len(written) == expected


def test_failure_is_one_sentence(tmp_path, monkeypatch, caplog):
    def write_report(run, **settings):
        raise RuntimeError('out of\nmemory')

    monkeypatch.setattr('sparse_rcnn_ext.report.write.write_report', write_report)
    assert train(tmp_path, ReportHook(), caplog) == [
        'The training is done, but its report failed (RuntimeError: out of memory): '
        f'tools/analysis/report.py {tmp_path} tries again.'
    ]


def test_model_that_no_report_can_be_made_of(tmp_path, caplog):
    """Without a fake: the config of this runner describes no detector."""
    (warning,) = train(tmp_path, ReportHook(), caplog)
    assert warning.startswith('The training is done, but its report failed (')
    assert not (tmp_path / 'report.html').exists()


def test_interruption_is_none_of_its_business(tmp_path, monkeypatch):
    def write_report(run, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr('sparse_rcnn_ext.report.write.write_report', write_report)
    with pytest.raises(KeyboardInterrupt):
        make_runner(tmp_path, [ReportHook()], SmallDetector(2)).train()


def test_on_by_default(repo_dir):
    hooks = Config.fromfile(repo_dir / 'configs/_base_/default_runtime.py').default_hooks
    hook = HOOKS.build(hooks.report)
    assert type(hook) is ReportHook and hook.enabled
    # A test, and a validation without a training, write none: only after_train does.
    assert get_priority(hook.priority) > get_priority('VERY_LOW')
