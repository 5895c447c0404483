"""Whether this process may run what a checkpoint says."""

from argparse import ArgumentParser

_OPTION = '--trust-checkpoint'
_is_trusting = False


def trust_checkpoints(trust: bool = True) -> None:
    """Let this process unpickle any object of a checkpoint, which runs code where the checkpoint wants that.

    It also lets downloads pass whose address holds no hash. Until this is called checkpoints are tensors and plain
    values, or refused.
    """
    global _is_trusting
    _is_trusting = trust


def is_trusting() -> bool:
    """Whether :func:`trust_checkpoints` was called."""
    return _is_trusting


def add_trust_option(parser: ArgumentParser) -> None:
    """Add ``--trust-checkpoint`` to a tool; ``trust_checkpoints(args.trust_checkpoint)`` obeys it."""
    parser.add_argument(
        _OPTION,
        action='store_true',
        help='load whatever objects the checkpoint holds, which runs code if it wants that: only for one that you '
        'would run as a program',
    )
