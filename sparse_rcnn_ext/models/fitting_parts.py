"""Whether the parts of a detector that a config has put together fit each other."""

from torch.nn import Module

from sparse_rcnn_ext.engine.errors import UserError


def check_classes(roi_head: Module, criterion: Module) -> None:
    """See that stages and criterion agree on the classes. What a part of a user's own does not tell is not compared.

    Raises:
        UserError: If only one of them has "no object" as a class more, or the classes have weights of another number.
    """
    softmax = getattr(roi_head, 'one_label', False)
    if getattr(criterion, 'one_label', softmax) != softmax:
        head, right = ('SoftmaxDIIHead', 'SoftmaxCriterion') if softmax else ('DIIHead', 'SparseRCNNCriterion')
        raise UserError(
            f'model.criterion is {type(criterion).__name__}, and the last logit of the stages is '
            f'{"" if softmax else "not "}"no object": set model.criterion.type to sparse_rcnn_ext.{right}, '
            f'which belongs to {head}'
        )
    # The criterion has those that the loss itself does not take.
    owners = (getattr(criterion, 'loss_cls', None), criterion)
    found = [weights for owner in owners if (weights := getattr(owner, 'class_weight', None)) is not None]
    number = getattr(roi_head.bbox_head[0], 'num_classes', None) if found else None
    if number is not None and len(found[0]) != number:
        raise UserError(
            f'model.criterion.loss_cls.class_weight has {len(found[0])} numbers for {number} classes: '
            'set it to as many as model.roi_head.bbox_head.num_classes'
        )
