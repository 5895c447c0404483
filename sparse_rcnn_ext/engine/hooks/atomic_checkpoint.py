"""Saves checkpoints such that there is a whole one at any moment, and no step waits for the disk."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.engine.checkpoints.atomic_file import TEMPORARY
from sparse_rcnn_ext.engine.checkpoints.background_writer import BACKGROUND, WRITER
from sparse_rcnn_ext.engine.checkpoints.resuming import (
    agree_on_last_checkpoint,
    job_name,
    record_checkpoint,
    restarts,
    without_functions,
)
from sparse_rcnn_ext.registry import HOOKS

INTERRUPTED = 'interrupted.pth'
"""What a training saves that was asked to stop."""


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's hook with all of its arguments, but nothing is lost at whatever moment the process dies.

    - A checkpoint is written beside its place and then renamed, ``last_checkpoint`` too; only then is an old one, or an
      old best one, deleted. mmengine deletes first, and writes in place.
    - ``last_checkpoint`` is relative to the run's folder.
    - On a disk of this machine, a thread waits for the disk, renames, records and deletes, in this order, while the
      training goes on: until then the former checkpoint counts. The next save, a stop, and the end of the training and
      of the process wait for it; who reads a checkpoint in between, such as another hook, calls :meth:`wait` first.
    - Where the Runner is to resume and no file is named, the last whole checkpoint is taken; also where torchrun has
      started this process again.

    Before a save all processes get ``before_save_on_all_ranks`` of all hooks; ``before_save_checkpoint`` is called in
    rank 0 alone.

    Raises:
        UserError: If a checkpoint cannot be written: in the next iteration or save, or at the end of the training.
    """

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to go on from, where that is left to the Runner."""
        if not isinstance(runner._train_loop, BaseLoop):
            return
        # Of an earlier training of this process, that ended in an error.
        WRITER.give_up()
        found = None
        if any(all_gather_object(restarts())):  # machines may count differently
            # Whatever its first start was told: it has got further since.
            found = agree_on_last_checkpoint(runner.work_dir, job_name())
        if found is None and runner._resume and runner._load_from is None:
            found = agree_on_last_checkpoint(runner.work_dir)
            # Else the Runner would look, and not know that the record is relative.
            runner._resume = found is not None
        if found is not None:
            runner._resume, runner._load_from = True, found
            runner.logger.info(f'Training goes on from {found}')

    def before_train(self, runner: Runner) -> None:
        """Settle where checkpoints go, and remove what a dead process left half written."""
        folder = self.out_dir or runner.work_dir
        is_local = not self.file_client_args and isinstance(
            get_file_backend(folder, backend_args=self.backend_args), LocalBackend
        )
        if is_local:
            self.backend_args = dict(backend=BACKGROUND)
        super().before_train(runner)
        self._saved_iter = None
        self._is_local = is_local
        self._backend = self.file_backend
        if not is_local:
            return
        if is_main_process():
            for path in Path(self.out_dir).glob(f'*.pth{TEMPORARY}'):
                path.unlink(missing_ok=True)
        # A copy of a run must not delete the best checkpoint of the original.
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._place(self.best_ckpt_path)
        if getattr(self, 'best_ckpt_path_dict', None):
            self.best_ckpt_path_dict = {
                name: path and self._place(path) for name, path in self.best_ckpt_path_dict.items()
            }

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Stop, if a checkpoint could not be written."""
        WRITER.check()

    def after_train(self, runner: Runner) -> None:
        """Wait for the last checkpoint, and publish it where that is asked for."""
        WRITER.wait()
        super().after_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Leave out functions: the checkpoint of a OneCycleLR would be refused as one that could run code."""
        states = checkpoint.get('param_schedulers')
        if isinstance(states, dict):  # of several optimizers
            checkpoint['param_schedulers'] = {name: [*map(without_functions, some)] for name, some in states.items()}
        elif states:
            checkpoint['param_schedulers'] = [*map(without_functions, states)]

    def wait(self) -> None:
        """Return when the checkpoint that was saved last is on the disk, and recorded.

        Raises:
            UserError: If it cannot be written.
        """
        WRITER.wait()

    def save_now(self, runner: Runner, epoch: int, iteration: int) -> str:
        """Save ``interrupted.pth``, unless this iteration was the last to be saved; return the path, once it is there.

        The next regular checkpoint takes its place. To be called in all processes.

        Args:
            runner: The Runner that trains.
            epoch: How many epochs are complete.
            iteration: How many iterations are.
        """
        if self._saved_iter != iteration:
            self._write(runner, INTERRUPTED, dict(epoch=epoch, iter=iteration))
        self.wait()
        return self.last_ckpt

    def _place(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, Path(path).name)

    def _then(self, job: Callable[..., None], *args: object) -> None:
        """Do ``job(*args)`` after what was written before, if that succeeds."""
        if self._is_local:
            WRITER.submit(job, *args)
        else:
            job(*args)

    def _write(self, runner: Runner, name: str, meta: dict) -> None:
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.call_hook('before_save_on_all_ranks')
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            self._then(record_checkpoint, runner.work_dir, self.last_ckpt)
        self._saved_iter = meta['iter']

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        kept = list(self.keep_ckpt_ids) if self.max_keep_ckpts > 0 else []
        if self.max_keep_ckpts > 0 and kept[-1:] != [step]:
            kept.append(step)
            # With the one too many: a process that dies before it is deleted, deletes it when it resumes.
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        self._write(runner, self.filename_tmpl.format(step), meta)
        outdated = [INTERRUPTED]
        if self.max_keep_ckpts > 0:
            outdated += [self.filename_tmpl.format(old) for old in kept[: -self.max_keep_ckpts]]
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        if is_main_process():
            for name in outdated:
                self._then(_remove, self._backend, self._place(name))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # The best one of before is looked for.
        self.wait()
        # mmengine deletes it before it writes the better one.
        self.file_backend = _RemovesLater(self._backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
            outdated = self.file_backend.removed
        finally:
            self.file_backend = self._backend
        if self.save_best:
            current = getattr(self, 'best_ckpt_path_dict', {}).values() or [self.best_ckpt_path]
            for path in set(outdated) - set(current):
                self._then(_remove, self._backend, path)


class _RemovesLater:
    """A file backend that only notes what to remove."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self.removed: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removed.append(path)

    rmtree = remove


def _remove(backend: LocalBackend, path: str) -> None:
    if backend.isfile(path):
        backend.remove(path)
