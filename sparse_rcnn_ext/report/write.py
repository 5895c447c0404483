"""Write the report of a run."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mmdet.datasets import BaseDetDataset
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.engine.config.run_config import check_checkpoint
from sparse_rcnn_ext.errors import UserError

from .evidence import gather_evidence
from .page import write_page
from .run_files import find_checkpoint, find_config, read_run_log
from .sections import make_sections


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
