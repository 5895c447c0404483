"""Measure how fast a config's training images are prepared: tools/analysis/pipeline_speed.py CONFIG [options].

One process with one thread, as a worker of the data loader is; with and without mosaic; and where the time goes.
Against another pipeline both work by turns. Times are the processor's: waiting for the disk is not in them.
"""

import argparse
import cProfile
import pstats
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError

PROFILE_LINES = 25


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--images', type=int, default=40, metavar='N', help='images of a round (default: 40)')
    parser.add_argument(
        '--seconds', type=float, default=20.0, metavar='S', help='for each line of the result (default: 20)'
    )
    parser.add_argument(
        '--against',
        metavar='CONFIG|plain',
        help="compare with another config's pipeline, or with mmdet's transforms put together plainly",
    )
    parser.add_argument('--profile', action='store_true', help='print the functions that take most time, too')
    add_cfg_options(parser, 'data_root=data/mine/ mosaic_cache=40', 'settings that override CONFIG')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

import cv2
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.analysis.benchmark.report import machine_facts
from sparse_rcnn_ext.analysis.pipeline_speed import (
    Speed,
    measure_speed,
    plain_variants,
    recipe_variants,
    time_by_transform,
)
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.engine.config.run_config import load_config


def read_dataset(path: str, options: dict | None) -> tuple[Config, BaseDataset]:
    """A config and its training set."""
    cfg = load_config(path, options, None)
    if 'train_dataloader' not in cfg:
        raise UserError(f'{path} has no train_dataloader: give the config of a training')
    check_data_paths(cfg, ('train',))
    init_default_scope(scope_of(cfg))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    if not isinstance(dataset, BaseDataset):
        raise UserError(f'the training set of {path} is a {type(dataset).__name__}: give a config that wraps none')
    if not len(dataset):
        raise UserError(f'the training set of {path} has no image: see its ann_file and filter_cfg')
    return cfg, dataset


def speed_row(name: str, speed: Speed) -> str:
    row = f'{name:<14}' + ''.join(f'{value:>10.1f}' for value in speed.medians)
    if speed.second:
        ratio = speed.medians[0] / speed.medians[1]
        row += f'{ratio:>9.2f} ×  ({min(speed.ratios):.2f} to {max(speed.ratios):.2f})'
    return f'{row}  in {len(speed.first)} rounds'


def print_times(title: str, times: dict[str, float]) -> None:
    total = sum(times.values())
    print(f'\n{title}: milliseconds an image by transform')
    for name, value in times.items():
        print(f'{name:<24}{value:>8.2f}{value / total:>7.0%}')
    print(f'{"all":<24}{total:>8.2f}')


def print_profile(dataset: BaseDataset, images: int) -> None:
    profile = cProfile.Profile()
    with profile:
        measure_speed([dataset], images, 0.0)
    pstats.Stats(profile).sort_stats('tottime').print_stats(PROFILE_LINES)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        if args.images < 1 or not 0 <= args.seconds < float('inf'):
            raise UserError('--images must be at least 1, and --seconds a number of at least 0')
        cfg, dataset = read_dataset(args.config, args.cfg_options)
        contestants = {'config': recipe_variants(dataset)}
        if args.against == 'plain':
            contestants['plain'] = plain_variants(cfg, dataset)
        elif args.against:
            contestants['other'] = recipe_variants(read_dataset(args.against, None)[1])
    # As in a worker of the data loader.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    for name, value in (machine_facts('cpu') | {'OpenCV': cv2.__version__}).items():
        print(f'{name}: {value}')
    print(f'{args.config}, rounds of {args.images} images; images a second of one process')
    print(' ' * 14 + ''.join(f'{name:>10}' for name in contestants))
    names = [name for name in contestants['config'] if all(name in variants for variants in contestants.values())]
    for name in names:
        datasets = [variants[name] for variants in contestants.values()]
        print(speed_row(name, measure_speed(datasets, args.images, args.seconds)), flush=True)
    for side, variants in contestants.items():
        for name in names:
            print_times(f'{side}, {name}', time_by_transform(variants[name], args.images))
    if args.profile:
        print_profile(dataset, args.images)


if __name__ == '__main__':
    main()
