"""A value in a pipeline that its transform only refuses when it sees an image, in a sentence."""

from mmcv.transforms import BaseTransform

from sparse_rcnn_ext.engine.errors import UserError

_PACKAGES = ('mmcv', 'mmdet', 'sparse_rcnn_ext')


def explain_failed_transform(error: Exception) -> None:
    """Raise a :class:`UserError` that names the transform in which ``error`` was raised, the innermost one.

    An error of a transform of the user's own is left to its traceback, which is what its author needs.
    """
    innermost, frame = None, error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get('self')
        innermost = owner if isinstance(owner, BaseTransform) else innermost
        frame = frame.tb_next
    if type(innermost).__module__.partition('.')[0] not in _PACKAGES:
        return
    reason = f'{type(error).__name__}: {error}'.strip().splitlines()[0]
    text = ' '.join(repr(innermost).split())
    raise UserError(f'{text} of a pipeline fails ({reason}): correct its settings, or its place there') from error
