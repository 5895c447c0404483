"""One set of parameters for all stages."""

from sparse_rcnn_ext.models.upgrades.recursive_roi_head import RecursiveSparseRoIHead
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class SharedSparseRoIHead(RecursiveSparseRoIHead):
    """The cascade with one stage that runs ``num_stages`` times; arguments as of :class:`SparseRoIHead`."""

    num_own_stages = 1
