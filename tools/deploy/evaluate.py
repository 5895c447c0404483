"""Score an exported detector on a config's test data: tools/deploy/evaluate.py CONFIG FILE; prints the COCO table.

What it prints can be compared with what tools/test.py prints for the checkpoint.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.runtime.sessions import PRECISIONS

RUNTIME_DOES = ('Resize', 'Pad')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, of which the test data and the evaluator count')
    parser.add_argument('file', help='what tools/deploy/export.py wrote')
    parser.add_argument(
        '--precision', choices=PRECISIONS, default=PRECISIONS[0], help='in which OpenVINO runs a .xml (default: fp32)'
    )
    add_cfg_options(parser, 'test_dataloader.dataset.indices=100')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

import numpy as np
import torch
from mmdet.evaluation import MultiDatasetsEvaluator
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import EVALUATOR, init_default_scope
from mmengine.structures import InstanceData
from tqdm import tqdm

from sparse_rcnn_ext.datasets.joined import refuse_shared_ids, settle_classes
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.engine.config.input_images import step_name
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import check_data_paths, walk_datasets
from sparse_rcnn_ext.evaluation import judge_what_runs
from sparse_rcnn_ext.export import Detector


def open_file(path: str, precision: str) -> Detector:
    """The exported detector.

    Raises:
        UserError: If it cannot be opened.
    """
    try:
        return Detector(path, torch.get_num_threads(), precision=precision)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    except ModuleNotFoundError as error:
        raise UserError(f'{error}: pip install -r requirements/deploy.txt') from error


def as_levels(inputs: torch.Tensor, cfg: Config) -> np.ndarray:
    """An image (3, H, W) of the pipeline as (H, W, 3) uint8; ``to_float32`` of its loader is undone.

    Raises:
        UserError: If it is nothing that an exported file takes.
    """
    image = inputs.numpy().transpose(1, 2, 0)
    levels = image.clip(0, 255).astype(np.uint8)
    if image.shape[2] != 3 or (levels != image).any():
        raise UserError(
            f'the test pipeline of {cfg.filename} gives images of {image.dtype} with {image.shape[2]} channels: what '
            'runs an exported file takes 8-bit colour images'
        )
    return levels


def evaluate(detector: Detector, cfg: Config) -> dict[str, float]:
    """The numbers of ``cfg.test_evaluator`` on all test images.

    Raises:
        UserError: If the classes of the file are not those of the data.
    """
    for _, settings in walk_datasets(cfg.test_dataloader, 'test_dataloader'):
        pipeline = settings['pipeline']
        settings['pipeline'] = [step for step in pipeline if step_name(step, scope_of(cfg)) not in RUNTIME_DOES]
    init_default_scope(scope_of(cfg))
    dataset = settle_classes(DATASETS.build(cfg.test_dataloader.dataset), 'test_dataloader.dataset')
    if tuple(dataset.metainfo['classes']) != detector.classes:
        raise UserError(
            f'the file knows the classes {", ".join(detector.classes)}, and the test data of {cfg.filename} have '
            f'{", ".join(dataset.metainfo["classes"])}: give the config of the same data'
        )
    settings = cfg.test_evaluator
    # Metrics alone, or what mmengine's Runner takes for an evaluator.
    is_whole = isinstance(settings, dict) and 'metrics' in settings
    evaluator = EVALUATOR.build({'type': 'Evaluator', **settings}) if is_whole else Evaluator(settings)
    if not isinstance(evaluator, MultiDatasetsEvaluator):
        refuse_shared_ids(dataset, 'test_dataloader.dataset')
    judge_what_runs(evaluator, dataset)
    evaluator.dataset_meta = dataset.metainfo
    for packed in tqdm(dataset, total=len(dataset), unit='image'):
        bgr = as_levels(packed['inputs'], cfg)
        found = detector(np.ascontiguousarray(bgr[..., ::-1]), score_thr=0)
        sample = packed['data_samples']
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(found.boxes),
            scores=torch.from_numpy(found.scores),
            labels=torch.from_numpy(found.labels),
        )
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        detector = open_file(args.file, args.precision)
        cfg = open_config(args)
        check_data_paths(cfg, ('test',))
        numbers = evaluate(detector, cfg)
    print(f'precision: {detector.metadata["precision"]}{", run in bfloat16" if args.precision == "bf16" else ""}')
    for name, value in numbers.items():
        print(f'{name}: {value:.3f}')


if __name__ == '__main__':
    main()
