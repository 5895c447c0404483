"""Classes and losses otherwise: a softmax over the classes, losses of the last stage alone.

The softmax is DETR's (https://arxiv.org/abs/2005.12872, section 3.1), with "no object" as one more class; the official
code of Sparse R-CNN has it as USE_FOCAL = False. The matching cost that belongs to it is ``SoftmaxCost``.
"""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparse_rcnn_ext.models.criterion import SparseRCNNCriterion
from sparse_rcnn_ext.models.dii_head import DIIHead
from sparse_rcnn_ext.models.parts import build_own
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class SoftmaxDIIHead(DIIHead):
    """A stage whose logits are (B, N, K + 1), "no object" last.

    Args:
        num_classes: Classes to tell apart (K), without "no object".
        settings: See :class:`DIIHead`; ``prior_prob`` makes no difference, all classes start alike.
    """

    # As in the official code: its classes exclude each other.
    one_label = True

    def __init__(self, num_classes: int = 80, **settings) -> None:
        super().__init__(num_classes, **settings)
        self.fc_cls = nn.Linear(self.fc_cls.in_features, num_classes + 1)

    def init_weights(self) -> None:
        """Xavier for every weight matrix, zero for the classifier's bias."""
        super().init_weights()
        nn.init.zeros_(self.fc_cls.bias)

    @staticmethod
    def scores(logits: Tensor) -> Tensor:
        """Logits (..., K + 1) to scores (..., K) from 0 to 1, in at least float32; they add up to 1 at most."""
        return logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))[..., :-1]


@MODELS.register_module()
class NoObjectCrossEntropy(BaseModule):
    """Softmax cross-entropy, weighted by the true class and averaged over these weights.

    Args:
        no_object_weight: Weight of the last class, "no object"; the others have 1.
        loss_weight: Weight of the loss.
    """

    def __init__(self, no_object_weight: float = 0.1, loss_weight: float = 2.0) -> None:
        super().__init__()
        self.no_object_weight = no_object_weight
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(..., K + 1) logits and (...) labels to one number, 0 where there are none."""
        weights = logits.new_ones(logits.shape[-1])
        weights[-1] = self.no_object_weight
        labels = labels.flatten()
        total = cross_entropy(logits.flatten(0, -2), labels, weights, reduction='sum')
        # A batch without boxes has no noised ones either.
        return self.loss_weight * total / weights[labels].sum().clamp(min=torch.finfo(logits.dtype).tiny)


@MODELS.register_module()
class SoftmaxCriterion(SparseRCNNCriterion):
    """The criterion for :class:`SoftmaxDIIHead`.

    The class loss is a mean over the proposals of a process, and not divided by the number of matched boxes.

    Args:
        assigner, loss_bbox, loss_iou, stage_loss_weights: See :class:`SparseRCNNCriterion`.
        loss_cls: :class:`NoObjectCrossEntropy`.

    Raises:
        UserError: If ``loss_cls`` is mmdet's, or a loss of boxes cannot work.
    """

    one_label = True

    @staticmethod
    def build_class_loss(settings: dict) -> tuple[nn.Module, None]:
        """See the base."""
        return build_own(settings, 'model.criterion.loss_cls', 'NoObjectCrossEntropy'), None

    def class_loss(self, logits: Tensor, one_hot: Tensor, normaliser: Tensor) -> Tensor:
        """Loss of each stage (S,), from (S, B, N, K + 1) logits and truth; no object is a row of zeros."""
        no_object = logits.shape[-1] - 1
        labels = torch.where(one_hot.any(-1), one_hot.argmax(-1), no_object)  # (S, B, N)
        return torch.stack([self.loss_cls(*stage) for stage in zip(logits, labels)])


@MODELS.register_module()
class LastStageCriterion(SparseRCNNCriterion):
    """The criterion with the losses of all stages but the last one weighed zero.

    Earlier stages learn through their object features; no gradient reaches their classifiers and box regressors, as no
    stage's boxes carry one to the stage before.
    """

    def stage_weights(self, num_stages: int) -> Sequence[float]:
        """See the class; weights rather than absent losses, for distributed training waits for every gradient."""
        return [0.0] * (num_stages - 1) + [super().stage_weights(num_stages)[-1]]
