"""Writes the report of a run when its training ends."""

from pathlib import Path

import torch
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class ReportHook(Hook):
    """Writes report.html and the folder report into the run's folder, see :func:`~.write.write_report`.

    The process of rank 0 does it, from the run's last checkpoint. The detections of the last validation serve again
    where the model would have to run over more than ``max_images`` images. Whatever goes wrong is a warning.

    Args:
        enabled: False writes none; ``tools/analysis/report.py`` does so at any time.
        max_images: The model runs over so many validation images at most, for the stages and the proposals.
        score_thr: Detections of a lower score take part in AP only.
    """

    # After the last checkpoint.
    priority = 'LOWEST'

    def __init__(self, enabled: bool = True, max_images: int = 200, score_thr: float = 0.3) -> None:
        self.enabled = enabled
        self.max_images = max_images
        self.score_thr = score_thr
        self._validated_at: int | None = None

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remember which weights were validated."""
        self._validated_at = runner.iter

    def after_train(self, runner: Runner) -> None:
        """Write the report."""
        if not self.enabled or not is_main_process():
            return
        run = Path(runner.work_dir)
        try:
            # What a report takes to import, a training needs not wait for.
            from .write import write_report

            # Not built again, because that would log its findings again.
            validated = isinstance(runner._val_loop, BaseLoop)
            path = write_report(
                run,
                dataset=runner.val_loop.dataloader.dataset if validated else None,
                detections=self._detections(runner, run) if validated else None,
                max_images=self.max_images,
                score_thr=self.score_thr,
            )
        except Exception as error:
            reason = ' '.join(str(error).split()) or 'without a reason'
            runner.logger.warning(
                f'The training is done, but its report failed ({type(error).__name__}: {reason}): '
                f'tools/analysis/report.py {run} tries again.'
            )
        else:
            runner.logger.info(f'Wrote {path}')

    def _detections(self, runner: Runner, run: Path) -> list[dict] | None:
        """The detections of the last validation, if they are the last checkpoint's."""
        from .run_files import find_checkpoint

        checkpoint = find_checkpoint(run)
        if checkpoint is None or self._validated_at is None:
            return None
        saved_at = torch.load(checkpoint, map_location='cpu', mmap=True, weights_only=True)['meta']['iter']
        evaluator = runner.val_loop.evaluator
        metrics = evaluator.metrics if saved_at == self._validated_at else ()
        found = [getattr(metric, 'last_detections', None) for metric in metrics]
        if isinstance(evaluator, MultiDatasetsEvaluator):
            # Each has those of one data set, in their order.
            return None if None in found else [one for part in found for one in part]
        return next((part for part in found if part is not None), None)
