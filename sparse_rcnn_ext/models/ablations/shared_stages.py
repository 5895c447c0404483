"""One set of parameters for all stages (RecursiveDet, https://arxiv.org/abs/2307.13619)."""

from collections.abc import Iterator
from itertools import repeat

from mmengine.model import ModuleList
from torch import nn

from sparse_rcnn_ext.models.sparse_roi_head import SparseRoIHead
from sparse_rcnn_ext.registry import MODELS


class RepeatedStage(ModuleList):
    """A list that holds one stage and yields it several times, so that its weights stand in checkpoints once.

    Args:
        stage: The stage.
        times: How often it is yielded.
    """

    def __init__(self, stage: nn.Module, times: int) -> None:
        super().__init__([stage])
        self.times = times

    def __iter__(self) -> Iterator[nn.Module]:
        return repeat(self[0], self.times)


@MODELS.register_module()
class SharedSparseRoIHead(SparseRoIHead):
    """The cascade with one stage that runs ``num_stages`` times.

    Args:
        num_stages: How often the stage runs (S).
        roi_features: The RoI feature module.
        bbox_head: The stage; it is built once.
        with_cp: See :class:`SparseRoIHead`.
    """

    def __init__(
        self,
        num_stages: int = 6,
        roi_features: dict | None = None,
        bbox_head: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__(1, roi_features, bbox_head, with_cp)
        self.num_stages = num_stages
        self.bbox_head = RepeatedStage(self.bbox_head[0], num_stages)
