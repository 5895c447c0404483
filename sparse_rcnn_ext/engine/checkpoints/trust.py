"""Whether files may run code: a checkpoint holds tensors and plain values, or anything where the user trusts it."""

from typing import BinaryIO

from sparse_rcnn_ext.errors import UserError

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


def refuse_pickles() -> None:
    """Have mmengine's ``load``, by which mmdet's tools and datasets read results and proposals, unpickle no .pkl.

    ``mmengine.dump`` still writes some, and trusted ones are read.
    """
    from mmengine.fileio import PickleHandler, register_handler  # whose import waits for this module

    @register_handler(['pickle', 'pkl'])
    class WriteOnlyPickle(PickleHandler):
        def load_from_fileobj(self, file: BinaryIO, **options: object) -> object:
            if not is_trusting():
                # mmengine hands on the content alone.
                raise UserError(
                    'a .pkl file could run code and is not read: give a JSON file, as of tools/test.py --out'
                )
            return super().load_from_fileobj(file, **options)
