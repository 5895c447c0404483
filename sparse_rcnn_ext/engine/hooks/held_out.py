"""Keep on record which images a training holds out."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.engine.atomic_file import write_atomically
from sparse_rcnn_ext.registry import HOOKS

FILE = 'held_out.txt'


@HOOKS.register_module()
class HeldOutHook(Hook):
    """Writes which images are held out of the one file for all (``val_fraction``) into the run's folder.

    ``held_out.txt`` has one a line, as they stand in the annotation file. Where training and validation have files of
    their own, nothing is written.
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the file."""
        loop = runner._val_loop
        dataset = loop.dataloader.dataset if isinstance(loop, BaseLoop) else None
        if getattr(dataset, 'held_out', None) is None:
            return
        names = dataset.held_out_names()
        text = ''.join(f'{name}\n' for name in names)
        write_atomically(Path(runner.work_dir, FILE), text.encode(errors='surrogatepass'))
        runner.logger.info(f'{len(names)} images are held out for validation: {FILE} in {runner.work_dir} lists them.')
