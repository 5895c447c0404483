"""A training data set built from its annotation file, ours and mmdet's, each in a process of its own."""

import gc
import io
import json
import logging
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.logging import MMLogger

from sparse_rcnn_ext.datasets import CocoDataset
from sparse_rcnn_ext.errors import UserError

from .contestants import OURS, THEIRS
from .processes import check_proc, reset_peak, resident
from .settings import Setting
from .timing import BYTES, SECONDS, Comparison, Result, progress

BUILD, PEAK = 'building the training data set', 'peak memory'
IMAGES, BOXES_AN_IMAGE = 118_287, 7.23
"""Of COCO's train2017."""
CLASSES = 80


def measure_loading(setting: Setting, images: int = IMAGES) -> Result:
    """Seconds of the processor and bytes at the peak, from the file to a data set that is ready.

    Args:
        setting: Its ``rounds`` and ``seed`` count.
        images: How many the synthetic file has, each with 7.23 boxes on average.

    Raises:
        UserError: If this system does not tell the memory, or the two data sets differ.
    """
    check_proc()
    if images < 1:
        raise UserError(f'--images is {images}: give at least 1')
    found: dict[str, list[dict]] = {OURS: [], THEIRS: []}
    with TemporaryDirectory() as folder, progress(2 * setting.rounds, 'loading') as bar:
        path = Path(folder, 'truth.json')
        count = write_file(path, images, setting.seed)
        for _ in range(setting.rounds):
            for name, answers in found.items():
                # Not forked: it would have the memory of this process, and take what is free there first.
                with ProcessPoolExecutor(1, get_context('spawn')) as pool:
                    answers.append(pool.submit(build, name, path).result())
                bar.update()
    samples = [answers[0].pop('samples') for answers in found.values()]
    if samples[0] != samples[1]:
        raise UserError('the two data sets differ: a comparison of different things is no comparison')
    comparisons = [
        Comparison(name, unit, *(tuple(answer[name] for answer in answers) for answers in found.values()))
        for name, unit in ((BUILD, SECONDS), (PEAK, BYTES))
    ]
    note = 'Seconds of the processor, and memory above what was there before; each in a process of its own.'
    return Result('loading', setting, comparisons, [note], title=f'{images} images, {count} boxes')


def build(name: str, path: Path) -> dict:
    """Build the data set of one side; return what it took, and a few of its entries."""
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    kind = CocoDataset if name == OURS else MMDetCocoDataset
    classes = tuple(f'class {number}' for number in range(CLASSES))
    filters = dict(filter_empty_gt=True, min_size=32)
    gc.collect()
    reset_peak()
    memory, seconds = resident('VmRSS'), time.process_time()
    with redirect_stdout(io.StringIO()):
        dataset = kind(
            ann_file=str(path),
            data_prefix=dict(img='train'),
            metainfo=dict(classes=classes),
            filter_cfg=filters,
            pipeline=[],
        )
    seconds, memory = time.process_time() - seconds, resident('VmHWM') - memory
    places = np.linspace(0, len(dataset) - 1, min(len(dataset), 100)).astype(int).tolist()
    samples = [len(dataset), *(dataset.get_data_info(place) for place in places)]
    return {BUILD: seconds, PEAK: memory, 'samples': samples}


def write_file(path: Path, images: int, seed: int) -> int:
    """Write a file like COCO's, without masks; return its number of boxes."""
    random = np.random.default_rng(seed)
    count = max(1, round(images * BOXES_AN_IMAGE))
    # In COCO's file too, neither images nor ids are in order.
    owners, ids = random.integers(1, images + 1, count).tolist(), (random.permutation(count) + 1).tolist()
    boxes = np.round(random.uniform(1, 320, (count, 4)), 2).tolist()
    categories = random.integers(1, CLASSES + 1, count).tolist()
    entries = [
        dict(
            id=number,
            image_id=owner,
            category_id=category,
            bbox=box,
            area=box[2] * box[3],
            iscrowd=int(number % 90 == 0),
            segmentation=[],
        )
        for number, owner, category, box in zip(ids, owners, categories, boxes)
    ]
    content = dict(
        images=[
            dict(id=number, file_name=f'{number:012}.jpg', width=640, height=480, license=1, date_captured='2013-11-14')
            for number in range(1, images + 1)
        ],
        annotations=entries,
        categories=[dict(id=number + 1, name=f'class {number}') for number in range(CLASSES)],
    )
    path.write_text(json.dumps(content))
    return count
