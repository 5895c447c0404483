"""A cascade whose later stages are one stage."""

from collections.abc import Iterator
from itertools import repeat

from mmengine.model import ModuleList
from torch import nn

from sparse_rcnn_ext.models.sparse_roi_head import SparseRoIHead
from sparse_rcnn_ext.registry import MODELS


class RepeatedLast(ModuleList):
    """A list that yields its last module again until there are so many, whose weights stand in checkpoints once.

    Args:
        modules: The modules.
        total: How many it yields.
    """

    def __init__(self, modules: list[nn.Module], total: int) -> None:
        super().__init__(modules)
        self.total = total

    def __iter__(self) -> Iterator[nn.Module]:
        yield from super().__iter__()
        yield from repeat(self[-1], self.total - len(self))


@MODELS.register_module()
class RecursiveSparseRoIHead(SparseRoIHead):
    """The cascade with a first stage and one set of parameters for all later ones.

    RecursiveDet (https://arxiv.org/abs/2307.13619), section 3.2. :class:`PositionedSelfAttention` belongs to it.

    Args:
        num_stages: How many stages run (S); at most two of them have parameters.
        roi_features: The RoI feature module.
        bbox_head: The template of a stage.
        with_cp: See :class:`SparseRoIHead`.
    """

    num_own_stages = 2
    """How many stages have parameters."""

    def __init__(
        self,
        num_stages: int = 6,
        roi_features: dict | None = None,
        bbox_head: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__(min(num_stages, self.num_own_stages), roi_features, bbox_head, with_cp)
        self.num_stages = num_stages
        self.bbox_head = RepeatedLast(list(self.bbox_head), num_stages)


@MODELS.register_module()
class SharedSparseRoIHead(RecursiveSparseRoIHead):
    """The cascade with one stage that runs ``num_stages`` times; arguments as of :class:`SparseRoIHead`."""

    num_own_stages = 1
