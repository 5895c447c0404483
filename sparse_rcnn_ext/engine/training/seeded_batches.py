"""Batches whose random numbers depend on their place in the training only.

A worker's random numbers depend on all that it loaded before, so a training that was resumed, whose workers are new,
augments otherwise than one that was not. Here every image of every batch seeds its own.
"""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import BatchSampler, DataLoader


def seed_all(*key: int) -> None:
    """Seed all generators of this process from non-negative numbers; other numbers, also one more, other streams."""
    words = np.random.SeedSequence(key).generate_state(8)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:6])
    seed = int.from_bytes(words[6:].tobytes(), 'little') >> 1
    # torch.manual_seed would note the call stack each time where CUDA is not in use.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def get_states() -> dict:
    """The states of all generators of this process, as ``torch.load(weights_only=True)`` reads them."""
    states = dict(python=random.getstate(), numpy=np.random.get_state(), torch=torch.get_rng_state())
    if torch.cuda.is_initialized():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def set_states(states: dict) -> None:
    """Go on where :func:`get_states` was called."""
    version, words, gauss = states['python']
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(states['numpy'])
    # Loading moves them to the GPU.
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())


class SeededBatch:
    """The indices of a batch; taking the next one seeds all random numbers for loading that image.

    It is a DataLoader's worker, or the process itself without workers, that takes them.
    """

    def __init__(self, indices: Sequence[int], key: tuple[int, ...]) -> None:
        self.indices = list(indices)
        self.key = key

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for position, index in enumerate(self.indices):
            # 0 is for the model, see ExactResumeHook.
            seed_all(*self.key, position + 1)
            yield index


class SeededBatches:
    """A batch sampler around another, with a number for each batch of the training.

    Args:
        batch_sampler: Where the batches come from.
        key: What the seeds depend on beside the batch's number and the image's position in it.
    """

    def __init__(self, batch_sampler: BatchSampler, key: tuple[int, ...]) -> None:
        self.batch_sampler = batch_sampler
        self.key = key
        self.number = 0
        self.skip = 0

    # mmengine's hooks look here for set_epoch.
    @property
    def sampler(self) -> object:
        return self.batch_sampler.sampler

    @property
    def batch_size(self) -> int | None:
        return getattr(self.batch_sampler, 'batch_size', None)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[SeededBatch]:
        """The next batches, without the first ``skip``; ``number`` is that of the next one."""
        batches = iter(self.batch_sampler)
        skip, self.skip = self.skip, 0
        for _ in range(skip):
            next(batches, None)
        for indices in batches:
            number, self.number = self.number, self.number + 1
            yield SeededBatch(indices, (*self.key, number))


class NumberedIterator(_InfiniteDataloaderIterator):
    """The iterator of mmengine's IterBasedTrainLoop; it keeps the numbers right where mmengine skips batches unseen."""

    def __init__(self, dataloader: DataLoader, batches: SeededBatches) -> None:
        super().__init__(dataloader)
        self.batches = batches

    def skip_iter(self, num_iters: int) -> None:
        """Go to where a resumed training stopped."""
        super().skip_iter(num_iters)
        # Without an iterator, it was the sampler that skipped.
        if self._iterator is None:
            self.batches.number = num_iters


def seed_batches(dataloader: DataLoader, key: tuple[int, ...]) -> SeededBatches | None:
    """Let a DataLoader that is not in use use :class:`SeededBatches`; None where it has no batch sampler."""
    inner = dataloader.batch_sampler
    if isinstance(inner, SeededBatches):
        inner = inner.batch_sampler
    if inner is None:
        return None
    batches = SeededBatches(inner, key)
    # DataLoader forbids it, because its workers may run already; the iterator that is made next sees the new one.
    object.__setattr__(dataloader, 'batch_sampler', batches)
    dataloader._iterator = None
    return batches
