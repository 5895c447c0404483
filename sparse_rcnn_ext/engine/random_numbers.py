"""Seeds and states of the random numbers of Python, NumPy and torch."""

import random

import numpy as np
import torch


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
