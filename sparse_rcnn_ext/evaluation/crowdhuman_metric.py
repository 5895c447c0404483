"""mmdet's CrowdHuman metric for detections on a COCO JSON, with the recall."""

from pathlib import Path

from mmdet.evaluation import CrowdHumanMetric as MMDetCrowdHumanMetric
from mmdet.evaluation.metrics.crowdhuman_metric import PERSON_CLASSES, Image
from mmengine.fileio import get_text, load
from mmengine.logging import MMLogger

from sparse_rcnn_ext.datasets.convert.crowdhuman import parse_records
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import METRICS


@METRICS.register_module()
class CrowdHumanMetric(MMDetCrowdHumanMetric):
    """AP, log-average miss rate, Jaccard index and recall, computed by mmdet from the .odgt file.

    mmdet's metric takes ``img_id`` for CrowdHuman's ID and wants the images in the order of the file; a COCO JSON has
    numbers for ids. Here an image is known by its file name, which is the ID, so mmdet's CrowdHumanDataset works as
    well. AP is the area from the first detection's recall on: with n boxes the truth scores 1 − 1/n, to four digits.

    The results are ``crowd_human/`` mAP, mMR (lower is better), JI and recall: the share of boxes that any detection
    matches, whatever its score. The arguments are mmdet's; recall comes with AP or MR.
    """

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep the detections of a batch; see mmengine's BaseMetric."""
        named = [{**sample, 'img_id': Path(sample['img_path']).stem} for sample in data_samples]
        super().process(data_batch, named)

    def load_eval_samples(self, result_file: str) -> dict[str, Image]:
        """Truth and detections of every image that has detections.

        Raises:
            UserError: If ``ann_file`` cannot be used, or an image is not in it.
        """
        detections = {record['ID']: record for record in load(result_file)}
        truths = self._truths()
        unknown = [name for name in detections if name not in truths]
        if unknown:
            raise UserError(
                f'{self.ann_file} has no image {unknown[0]} ({len(unknown)} unknown in all): '
                "set the evaluator's ann_file to the .odgt that the data set was converted from"
            )
        if len(detections) < len(truths):
            logger = MMLogger.get_current_instance()
            logger.warning(f'evaluated {len(detections)} of the {len(truths)} images of {self.ann_file}')
        samples = {}
        for name, record in detections.items():
            sample = samples[name] = Image(self.eval_mode)
            sample.load(truths[name], 'box', None, PERSON_CLASSES, True)
            sample.load(record, 'box', None, PERSON_CLASSES, False)
            sample.clip_all_boader()
        return samples

    def _truths(self) -> dict[str, dict]:
        """The records of ``ann_file`` by image."""
        try:
            lines = get_text(self.ann_file, backend_args=self.backend_args).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f'the annotation file {self.ann_file} cannot be read ({error}): get it again') from None
        truths = {record['ID']: record for record in parse_records(self.ann_file, lines, ('fbox', 'hbox'))}
        if not truths:
            raise UserError(f'the annotation file {self.ann_file} has 0 records: get it again')
        return truths

    def compare(self, samples: dict[str, Image]) -> list[tuple]:
        """Match detections and truth as mmdet does, and keep the recall."""
        matches = super().compare(samples)
        boxes = sum(sample.gt_num - sample.ign_num for sample in samples.values())
        self._recall = sum(is_hit == 1 for _, is_hit, _ in matches) / boxes
        return matches

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the numbers from the detections of all images."""
        metrics = super().compute_metrics(results)
        if 'mAP' in metrics or 'mMR' in metrics:
            metrics['recall'] = round(self._recall, 4)
        return metrics
