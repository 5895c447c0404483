"""Draw a config's augmented training images with their boxes: tools/analysis/browse.py CONFIG [options]."""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError

SUFFIXES = ('.png', '.jpg', '.jpeg')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--number', type=int, default=16, metavar='N', help='how many images (default: 16)')
    parser.add_argument(
        '--out', type=Path, metavar='FILE.png|jpg', help="default: training_images.png in the run's folder"
    )
    parser.add_argument('--side', type=int, default=480, metavar='N', help='pixels of a panel (default: 480)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of images and of their augmentation')
    add_cfg_options(parser, 'train_dataloader.dataset.indices=8')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

import numpy as np
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed

from sparse_rcnn_ext.datasets.joined import settle_classes
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.visualization import draw_training_images


def choose_images(total: int, number: int) -> list[int]:
    """``number`` indices below ``total`` in random order; all of them before any comes again."""
    rounds = [np.random.permutation(total) for _ in range(-(-number // total))]
    return np.concatenate(rounds)[:number].tolist()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = open_config(args)
        out = args.out or Path(cfg.work_dir, 'training_images.png')
        if out.suffix.lower() not in SUFFIXES:
            raise UserError(f'--out is {out}: give a file that ends in {" or ".join(SUFFIXES)}')
        for name, value, least in (('--number', args.number, 1), ('--side', args.side, 64)):
            if value < least:
                raise UserError(f'{name} is {value}: give at least {least}')
        if 'train_dataloader' not in cfg:
            raise UserError(f'{args.config} has no train_dataloader: give the config of a training')
        check_data_paths(cfg, ('train',))
        init_default_scope(scope_of(cfg))
        dataset = settle_classes(DATASETS.build(cfg.train_dataloader.dataset), 'train_dataloader.dataset')
        if not len(dataset):
            raise UserError(f'the training set of {args.config} has no image: see its ann_file and filter_cfg')
        set_random_seed(args.seed)
        heading = f'Training images of {Path(args.config).stem}'
        draw_training_images(dataset, choose_images(len(dataset), args.number), out, heading, panel_side=args.side)
    print(f'Wrote {out}')


if __name__ == '__main__':
    main()
