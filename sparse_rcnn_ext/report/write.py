"""Write the report of a run, part by part."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from mmdet.datasets import BaseDetDataset
from mmengine.config import Config

from sparse_rcnn_ext.ablation.outcome import training_seconds
from sparse_rcnn_ext.ablation.report import duration
from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.engine.config.run_config import check_checkpoint
from sparse_rcnn_ext.errors import UserError

from .accuracy_charts import draw_classes, draw_confusion, draw_precision_recall, draw_stages
from .box_charts import draw_proposals, draw_sizes_and_counts
from .error_split import draw_errors, split_errors
from .evidence import Evidence, gather_evidence
from .outcomes import MIN_IOU, STATS, confusion_matrix
from .page import Section, Table, embed_picture, write_page
from .pictures import draw_middling_stages, draw_worst_and_best
from .run_files import RunLog, find_checkpoint, find_config, read_environment, read_run_log
from .training_charts import draw_accuracy, draw_learning_rate, draw_losses


def write_report(
    run: Path,
    checkpoint: Path | None = None,
    options: dict | None = None,
    dataset: BaseDetDataset | None = None,
    detections: Sequence[dict] | None = None,
    max_images: int | None = None,
    score_thr: float = 0.3,
    progress: bool = False,
) -> Path:
    """Write RUN/report.html, and its charts and pictures as PNG into RUN/report.

    Args:
        run: The folder of a run.
        checkpoint: The weights to judge; None: the run's last, or none where it has none.
        options: Names and values that override the run's config.
        dataset, detections: The validation images, and what the weights found in them, where that is at hand, see
            :func:`gather_evidence`.
        max_images: The model runs on so many images at most; None: on all.
        score_thr: Detections of a lower score take part in AP only.
        progress: Whether to show a bar while the model runs.

    Returns:
        The path of the page.

    Raises:
        UserError: If ``run`` is no folder of a run, or its checkpoint, data or options are not as they should be.
    """
    cfg = Config.fromfile(find_config(run))
    try:
        cfg.merge_from_dict(options or {})
    except (TypeError, KeyError, IndexError, AssertionError) as error:
        raise UserError(f'--cfg-options does not fit the config of {run}: {error}') from error
    named = checkpoint is not None
    checkpoint = checkpoint or find_checkpoint(run)
    evidence = None
    if checkpoint:
        check_checkpoint(str(checkpoint), '--checkpoint' if named else f'{run}/last_checkpoint')
        evidence = gather_evidence(cfg, checkpoint, dataset, detections, max_images, score_thr, progress)
    folder = run / 'report'
    make_folder(folder, "the run's")
    for old in folder.glob('*.png'):
        old.unlink()
    sections = make_sections(run, cfg, read_run_log(run), checkpoint, evidence, folder)
    path = run / 'report.html'
    write_page(run.resolve().name, f'Report of {datetime.now():%Y-%m-%d %H:%M}', sections, path)
    return path


_ERROR_IMAGES = 1000


def make_sections(
    run: Path, cfg: Config, log: RunLog, checkpoint: Path | None, evidence: Evidence | None, folder: Path
) -> list[Section]:
    """All parts for which there is something to show.

    Args:
        run: The folder of the run.
        cfg: Its config.
        log: Its log.
        checkpoint: The weights that were judged; None: there are none.
        evidence: What they found; None: the config names no data to find anything in, or there are no weights.
        folder: Where charts and pictures go as PNG; it must be there.
    """
    sections = [_summary(run, log, checkpoint, evidence)]
    if log.training:
        sections.append(_training(log, folder))
    if evidence:
        sections += _findings(evidence, folder)
    sections.append(_setting(run, cfg))
    return sections


def _summary(run: Path, log: RunLog, checkpoint: Path | None, evidence: Evidence | None) -> Section:
    tiles, notes = [], []
    if evidence:
        tiles += [(name, number(value)) for name, value in evidence.judgement.stats.items()]
        total = len(evidence.dataset)
        images = f'{total:,} images' if len(evidence.indices) == total else f'{len(evidence.indices):,} of {total:,}'
        objects = int(evidence.judgement.objects_by_class().sum())
        notes.append(
            f'Measured with {checkpoint.name} on the {evidence.phase} set: {images}, {objects:,} objects of '
            f'{len(evidence.judgement.classes)} classes.'
        )
        parameters = sum(parameter.numel() for parameter in evidence.model.parameters())
        tiles.append(('parameters', f'{parameters / 1e6:.1f} M'))
    elif checkpoint:
        notes.append('The config names no validation and no test data, so nothing was detected.')
    else:
        notes.append(
            'No last_checkpoint leads to weights: what follows is from the log alone. --checkpoint FILE names some.'
        )
    if log.training:
        last = log.training[-1]
        tiles += [('iterations', f'{last["step"]:,}'), ('training', duration(training_seconds(run)))]
        if 'epoch' in last:
            tiles.append(('epochs', str(last['epoch'])))
    else:
        notes.append("The run's folder has no log of a training by mmengine's LocalVisBackend.")
    return Section('summary', 'Summary', tiles=tiles, notes=notes)


def _training(log: RunLog, folder: Path) -> Section:
    charts = draw_losses(log, folder) + draw_learning_rate(log, folder) + draw_accuracy(log, folder)
    return Section('training', 'Training', charts=charts)


def _findings(evidence: Evidence, folder: Path) -> Iterator[Section]:
    judgement, outcomes, score_thr = evidence.judgement, evidence.outcomes, evidence.score_thr
    charts = draw_classes(judgement, folder)
    yield Section('classes', 'Classes', charts=charts, tables=[_class_table(evidence)])
    if charts := draw_precision_recall(judgement, folder):
        yield Section('recall', 'Precision and recall', charts=charts)
    matrix = confusion_matrix(outcomes, len(judgement.classes))
    note = 'The surest detections come first, each object once; a second detection of an object counts as of none.'
    charts = draw_confusion(matrix, judgement.classes, score_thr, folder)
    yield Section('confusion', 'Confusion', charts=charts, notes=[note])
    yield _errors(evidence, folder)
    note = f'Found and right: same class and IoU ≥ {MIN_IOU}. Dashed: the borders of small, medium and large in COCO.'
    charts = draw_sizes_and_counts(outcomes, score_thr, folder)
    yield Section('sizes', 'Sizes and counts', charts=charts, notes=[note])
    if pictures := draw_worst_and_best(evidence.dataset, evidence.indices, outcomes, score_thr, folder):
        note = f'Of those with objects, by F1 of the detections with a score of at least {score_thr:g}.'
        pictures = [embed_picture(path) for path in pictures]
        yield Section('images', 'Worst and best images', notes=[note], pictures=pictures)
    if evidence.is_sparse:
        yield from _proposals_and_stages(evidence, folder)


def _errors(evidence: Evidence, folder: Path) -> Section:
    judgement = evidence.judgement
    # The library keeps a dictionary for each detection.
    places = np.linspace(0, len(judgement.found) - 1, min(_ERROR_IMAGES, len(judgement.found))).astype(int)
    found = [judgement.found[place] for place in places]
    if all(evidence.outcomes[place].truth.crowds.all() for place in places):
        return Section('errors', 'Errors', notes=['There is no object, so nothing can be missed.'])
    split = split_errors(judgement.truth, found, evidence.score_thr)
    note = 'As TIDE sorts them. Lost is the AP50 that would be gained if these errors alone were mended.'
    if len(found) < len(judgement.found):
        note += f' On {len(found):,} of the images.'
    rows = [(f'{kind.name}: {kind.meaning}', f'{kind.ap50_lost:.3f}', f'{kind.count:,}') for kind in split.kinds]
    table = Table(('error', 'AP50 lost', f'count ≥ {split.score_thr:g}'), rows)
    return Section('errors', 'Errors', notes=[note], charts=[draw_errors(split, folder)], tables=[table])


def _proposals_and_stages(evidence: Evidence, folder: Path) -> Iterator[Section]:
    head = evidence.model.rpn_head
    if head.are_learned:
        boxes = head.init_proposal_bboxes.weight.detach().numpy()
        charts = draw_proposals(boxes, evidence.predictions.uses, evidence.num_run, evidence.score_thr, folder)
        yield Section('proposals', 'Learned proposals', charts=charts)
    rows = [
        (str(place), *(number(value) for value in stage.stats.values()))
        for place, stage in enumerate(evidence.stages, start=1)
    ]
    note = f'Each stage as if it were the last, on {evidence.num_run:,} images.'
    pictures = draw_middling_stages(
        evidence.model, evidence.dataset, evidence.indices, evidence.outcomes, evidence.score_thr, folder
    )
    yield Section(
        'stages',
        'Stages',
        notes=[note],
        charts=draw_stages(evidence.stages, folder),
        tables=[Table(('stage', *STATS), rows)],
        pictures=[embed_picture(path) for path in pictures],
    )


def _class_table(evidence: Evidence) -> Table:
    judgement = evidence.judgement
    columns = [judgement.ap_by_class(), *(judgement.precision(iou).mean(axis=0) for iou in (0.5, 0.75))]
    objects = judgement.objects_by_class()
    order = np.argsort(-np.nan_to_num(columns[0], nan=-1), kind='stable')
    rows = [
        (judgement.classes[label], f'{objects[label]:,}', *(number(column[label]) for column in columns))
        for label in order
    ]
    return Table(('class', 'objects', *STATS[:3]), rows)


def _setting(run: Path, cfg: Config) -> Section:
    environment = read_environment(run)
    tables = [Table(('environment', 'as logged'), environment)] if environment else []
    return Section('setting', 'Environment and config', tables=tables, folded=[('config', cfg.pretty_text)])


def number(value: float) -> str:
    """Three digits, or a dash for what there is not."""
    return '–' if np.isnan(value) else f'{value:.3f}'
