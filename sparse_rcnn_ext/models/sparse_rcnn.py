"""The detector: backbone, neck, proposals, stages."""

from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample, SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.post_process import inside_image, top_detections
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import pack_image_whwh, pack_scale_factors, pack_targets
from sparse_rcnn_ext.registry import MODELS

from .parts import build_own, check_classes, check_keys, check_levels, check_strides

STRIDES = 'model.roi_head.roi_features.featmap_strides'
TEST_SETTINGS = ('max_per_img', 'num_stages', 'score_thr', 'clip_boxes')


@MODELS.register_module()
class SparseRCNN(BaseDetector):
    """Sparse R-CNN: end-to-end object detection with learnable proposals (https://arxiv.org/abs/2011.12450).

    Parameter names are those of mmdet's ``SparseRCNN``, so its checkpoints load unchanged.

    Args:
        backbone: Feature extractor.
        neck: Makes the pyramid of the backbone's features.
        rpn_head: The proposals, learned ones or such as are found in the image.
        roi_head: The stages.
        criterion: Matching and losses.
        train_cfg: Where mmdet's detectors have what ``criterion`` has; None or empty.
        test_cfg: ``max_per_img``, detections kept per image; None or absent keeps as many as there are proposals.
            ``num_stages``, after how many stages inference stops; None or absent runs all. Each stage learns to give
            detections of its own, so fewer are faster and less exact. Training always runs all.
            ``score_thr``, the least score of the detections that are kept; None or absent sets none. ``clip_boxes``:
            whether boxes are clipped to their image, and those without area then dropped, as in the official code;
            absent is False, as in mmdet, whose boxes reach over the border.
        denoising: Noised ground truth among the proposals of training, see :class:`BoxDenoising`; None: none.
        data_preprocessor: Normalises and pads the images of a batch.
        init_cfg: Weights to start from, see mmengine.

    Raises:
        UserError: If ``test_cfg.num_stages`` is no number of stages that there are, ``test_cfg.score_thr`` no score,
            ``test_cfg.clip_boxes`` no bool, ``test_cfg`` or ``train_cfg`` has a setting that nothing reads, a part
            is mmdet's where it has to be ours, or parts do not fit each other.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        rpn_head: dict,
        roi_head: dict,
        criterion: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        denoising: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        check_keys(train_cfg, 'model.train_cfg', (), 'leave train_cfg out; the matching is model.criterion.assigner')
        test_cfg = check_keys(
            test_cfg, 'model.test_cfg', TEST_SETTINGS, f'there are {", ".join(TEST_SETTINGS)}, right below test_cfg'
        )
        self.backbone = MMDET_MODELS.build(backbone)
        self.neck = MMDET_MODELS.build(neck)
        self.rpn_head = build_own(rpn_head, 'model.rpn_head', 'EmbeddingRPNHead')
        self.roi_head = build_own(roi_head, 'model.roi_head', 'SparseRoIHead')
        self.criterion = build_own(criterion, 'model.criterion', 'SparseRCNNCriterion')
        check_classes(self.roi_head, self.criterion)
        pooling = getattr(self.roi_head, 'roi_features', None)
        readers = {STRIDES: pooling, 'model.rpn_head.featmap_strides': self.rpn_head}
        check_levels(self.backbone, self.neck, readers)
        self.strides = getattr(pooling, 'featmap_strides', ())
        self.denoising = MMDET_MODELS.build(denoising) if denoising else None
        max_per_img = test_cfg.get('max_per_img')
        self.max_per_img = self.rpn_head.num_proposals if max_per_img is None else max_per_img
        self.score_thr = _check_score(test_cfg.get('score_thr'))
        self.num_test_stages = self._check_num_stages(test_cfg.get('num_stages'))
        self.clip_boxes = test_cfg.get('clip_boxes', False)
        if type(self.clip_boxes) is not bool:
            raise UserError(f'model.test_cfg.clip_boxes is {self.clip_boxes!r}: set it to True or False')

    def _check_num_stages(self, asked: int | None) -> int:
        there = self.roi_head.num_stages
        if asked is None:
            return there
        if not (type(asked) is int and 1 <= asked <= there):
            raise UserError(
                f'model.test_cfg.num_stages is {asked!r}, and the model has {there} '
                f'stage{"s" if there > 1 else ""}: set it to a whole number from 1 to {there}, or to None for all'
            )
        return asked

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to pyramid levels (B, C, H_l, W_l), finest first."""
        return self.neck(self.backbone(batch_inputs))

    def forward_stages(self, batch_inputs: Tensor, image_whwh: Tensor) -> StageOutputs:
        """The stages on a batch: tensors in, tensors out, free of synchronisation.

        In training mode all of them run, in eval mode the first ``num_test_stages``.

        Args:
            batch_inputs: (B, 3, H, W), normalised and padded.
            image_whwh: (B, 4) width, height, width, height in pixels, before batch padding.
        """
        pyramid = self.extract_feat(batch_inputs)
        return self.roi_head(pyramid, *self.rpn_head(image_whwh, pyramid), num_stages=self._num_stages())

    def _num_stages(self) -> int | None:
        return None if self.training else self.num_test_stages

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> StageOutputs:
        return self.forward_stages(batch_inputs, pack_image_whwh(batch_data_samples, batch_inputs))

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses by name: of every stage ``s0.loss_cls`` and so on, and of the proposals where they have any.

        Args:
            batch_inputs: (B, 3, H, W), normalised and padded.
            batch_data_samples: One per image, with ``gt_instances`` and the meta key ``img_shape``.

        Raises:
            UserError: If the levels of the pyramid are not as fine as the RoI features are told.
        """
        image_whwh = pack_image_whwh(batch_data_samples, batch_inputs)
        targets = pack_targets(batch_data_samples, image_whwh)
        pyramid = self.extract_feat(batch_inputs)
        check_strides(batch_inputs, pyramid, self.strides, STRIDES)
        proposals, losses = self.rpn_head.propose_and_learn(image_whwh, pyramid, targets)
        if self.denoising is None:
            outputs = self.roi_head(pyramid, *proposals, num_stages=self._num_stages())
        else:
            noised = self.denoising(targets)
            hidden = noised.hidden(proposals[0].shape[1])
            joined = self.roi_head(pyramid, *noised.join(*proposals), num_stages=self._num_stages(), hidden=hidden)
            outputs, answers = noised.split(joined)
            losses |= {f'dn_{name}': value for name, value in self.criterion.pair_losses(*answers).items()}
        return losses | self.criterion(outputs, targets)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Detections of the last stage that runs, see ``test_cfg``.

        Args:
            batch_inputs: (B, 3, H, W), normalised and padded.
            batch_data_samples: One per image, with the meta keys ``img_shape`` and, if resized, ``scale_factor``.
            rescale: Give boxes in the pixels of the original image.

        Returns:
            The data samples with ``pred_instances``: ``bboxes`` (D, 4) xyxy pixels, ``scores`` (D,) falling,
            ``labels`` (D,).
        """
        outputs = self._forward(batch_inputs, batch_data_samples)
        scores = self.roi_head.scores(outputs.logits[-1])
        boxes, scores, labels = top_detections(scores, outputs.boxes[-1], self.max_per_img, self.roi_head.one_label)
        if rescale:
            boxes = boxes / pack_scale_factors(batch_data_samples, boxes)[:, None]
        for image, sample in enumerate(batch_data_samples):
            found = InstanceData(bboxes=boxes[image], scores=scores[image], labels=labels[image])
            sample.pred_instances = self.finish(found, sample, rescale)
        return batch_data_samples

    def finish(self, found: InstanceData, sample: DetDataSample, rescaled: bool = True) -> InstanceData:
        """Detections of an image, without those of low scores and clipped to it where ``test_cfg`` says so.

        Args:
            found: ``bboxes`` (D, 4) xyxy, ``scores`` (D,), and whatever else there is of each.
            sample: Its meta keys say how large the image is.
            rescaled: Whether the boxes are in pixels of the original image, and not of the network's input.
        """
        if self.score_thr:
            found = found[found.scores >= self.score_thr]
        if not self.clip_boxes:
            return found
        height, width = sample.img_shape[:2]
        if rescaled:
            across, down = sample.get('scale_factor', (1.0, 1.0))
            # A pipeline may have added a border to what the network gets.
            height, width = sample.get('ori_shape', (height / down, width / across))[:2]
        return inside_image(found, height, width)


def _check_score(asked: float | None) -> float:
    if asked is None:
        return 0.0
    if type(asked) not in (int, float) or not 0 <= asked <= 1:
        raise UserError(
            f'model.test_cfg.score_thr is {asked!r}: set it to a number from 0 to 1, or to None for no limit'
        )
    return float(asked)
