"""No deep supervision: the last stage alone learns from a loss of its own."""

from collections.abc import Sequence

from sparse_rcnn_ext.models.criterion import SparseRCNNCriterion
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class LastStageCriterion(SparseRCNNCriterion):
    """The criterion with the losses of all stages but the last one weighed zero.

    Earlier stages learn through their object features; no gradient reaches their classifiers and box regressors, as no
    stage's boxes carry one to the stage before.
    """

    def stage_weights(self, num_stages: int) -> Sequence[float]:
        """See the class; weights rather than absent losses, for distributed training waits for every gradient."""
        return [0.0] * (num_stages - 1) + [super().stage_weights(num_stages)[-1]]
