"""Makes a training that is resumed the same as one that was never stopped."""

from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.engine.checkpoints.resuming import (
    RUN_STATE,
    describe_batch,
    job_name,
    pending_gradients,
    unwrapped,
)
from sparse_rcnn_ext.engine.training.seeded_batches import (
    NumberedIterator,
    get_states,
    seed_all,
    seed_batches,
    set_states,
)
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """After a resume, the data, their order and augmentation, and the model's random numbers are those of an
    uninterrupted training; on a CPU the weights are equal bit for bit.

    Each image of each iteration, and the model in it, seed the random numbers from the run's seed, so none depend on
    what was loaded before, nor on the number of workers. Checkpoints hold, under ``run_state``: the seed of the
    sampler, which mmengine loses where none was set; how far the epoch got, so that one saved within an epoch goes on
    there, where mmengine starts the epoch anew; the states of the random numbers of each process, for whatever else
    draws some; and the gradients of accumulated steps that were not taken yet (their mean, with several processes).

    Data sets or transforms that remember earlier images (mmdet's CachedMosaic) are beyond it, and so are
    samplers that draw such numbers themselves or remember earlier epochs (mmdet's GroupMultiSourceSampler and
    CustomSampleSizeSampler).
    """

    # Seeds before, and sees what is saved before, all others.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._resumed: dict = {}
        self._states: list[dict] = []
        self._gradients: dict = {}
        self._epoch_start = (0, 0)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the checkpoint says of its training."""
        if isinstance(runner._train_loop, BaseLoop) and runner._resume:
            self._resumed = checkpoint.get(RUN_STATE) or {}

    def before_train(self, runner: Runner) -> None:
        """Let the data go on where the checkpoint was saved."""
        loader = runner.train_loop.dataloader
        self._batches = seed_batches(loader, (runner.seed, get_rank()))
        if self._batches is not None:
            if isinstance(runner.train_loop, EpochBasedTrainLoop):
                self._batches.skip = self._batches_to_skip(runner)
            _restart_sampler(self._batches.sampler, self._resumed.get('sampler_seed'))
        gradients = self._resumed.get('gradients') or {}
        for name, weight in unwrapped(runner).named_parameters():
            if name in gradients:
                weight.grad = gradients[name].to(weight)
        if gradients:
            # mmengine has just warned of the contrary.
            runner.logger.info('The gradients that were accumulated come from the checkpoint: none is lost.')

    def before_train_epoch(self, runner: Runner) -> None:
        """Number the batches; after a resume, restore the random numbers."""
        loop = runner.train_loop
        if self._batches is not None and isinstance(loop, EpochBasedTrainLoop):
            self._epoch_start = (runner.epoch, runner.iter - self._batches.skip)
            self._batches.number = runner.iter
        elif self._batches is not None and isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator = NumberedIterator(loop.dataloader, self._batches)
        states = self._resumed.get('random_states') or []
        if get_rank() < len(states):
            set_states(states[get_rank()])
        self._resumed = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed the model's random numbers."""
        seed_all(runner.seed, get_rank(), runner.iter, 0)

    def before_save_on_all_ranks(self, runner: Runner) -> None:
        """Collect what only each process itself knows."""
        self._states = all_gather_object(get_states())
        self._gradients = {name: gradient.detach().clone() for name, gradient in pending_gradients(runner).items()}
        for gradient in self._gradients.values():
            all_reduce(gradient, 'mean')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add to a checkpoint what mmengine leaves out."""
        if self._batches is None:
            return
        epoch, start = self._epoch_start
        meta = checkpoint['meta']
        checkpoint[RUN_STATE] = dict(
            sampler_seed=getattr(self._batches.sampler, 'seed', None),
            # An epoch that is complete counts in meta.
            batches_into_epoch=meta['iter'] - start if meta['epoch'] == epoch else 0,
            random_states=self._states or [get_states()],
            gradients={name: gradient.cpu() for name, gradient in self._gradients.items()},
            batch=describe_batch(runner),
            job=job_name(),
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Let go of what was collected for a checkpoint: gradients are as large as the model."""
        self._states, self._gradients = [], {}

    def _batches_to_skip(self, runner: Runner) -> int:
        seen = self._resumed.get('batches_into_epoch', 0)
        saved, now = self._resumed.get('batch'), describe_batch(runner)
        if saved:
            # With another batch, as far as that is possible.
            seen = int(seen * saved['processes'] * saved['images'] // (get_world_size() * now['images']))
        return min(seen, len(runner.train_loop.dataloader))


def _restart_sampler(sampler: object, seed: int | None) -> None:
    if seed is not None and hasattr(sampler, 'seed'):
        sampler.seed = seed
    # Those without an end hold iterators, from which upstream's mmengine has taken before a checkpoint is loaded.
    if isinstance(sampler, InfiniteSampler):
        sampler.indices = sampler._indices_of_rank()
    elif hasattr(sampler, 'source2inds'):  # mmdet's MultiSourceSampler, of semi-supervised trainings
        sampler.source2inds = {
            source: sampler._indices_of_rank(len(part)) for source, part in enumerate(sampler.dataset.datasets)
        }
        if hasattr(sampler, 'group_source2inds'):
            sampler.group_source2inds = [
                {
                    source: sampler._indices_of_rank(sizes[group])
                    for source, sizes in enumerate(sampler.group2size_per_source)
                }
                for group in range(len(sampler.group_source2inds))
            ]
