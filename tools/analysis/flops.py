"""Count a config's parameters and multiply-adds by part: tools/analysis/flops.py CONFIG [options].

Counted are convolutions, linear layers, all products of matrices and RoI pooling; a multiply-add is one. Sums, norms
and activations are free. `--json` prints the same and more as JSON.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a Sparse R-CNN')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="pixels of the image before batch padding (default: what the test pipeline's Resize or Pad says)",
    )
    parser.add_argument('--latency', action='store_true', help='measure the time for one image on this machine too')
    parser.add_argument('--against', metavar='CONFIG', help="the latency as a share of this one's, measured in turns")
    parser.add_argument('--json', action='store_true', help='print JSON')
    add_cfg_options(parser, 'model.rpn_head.num_proposals=300')
    args = parser.parse_args(argv)
    if args.shape and min(args.shape) < 1:
        parser.error('--shape must be at least 1 1')
    if args.against and not args.latency:
        parser.error('--against needs --latency')
    return args


if __name__ == '__main__':
    end_early(parse_args)

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.analysis import (
    Complexity,
    compare_latency,
    count_complexity,
    device_name,
    measure_latency,
)
from sparse_rcnn_ext.engine.config.config_parts import part_name, scope_of
from sparse_rcnn_ext.engine.config.input_images import inference_size, padded_size
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.models import SparseRCNN


def build_detector(cfg: Config) -> SparseRCNN:
    """The detector of ``cfg`` with proposals and stages as they start, the rest at random.

    Raises:
        UserError: If it is not a Sparse R-CNN of this repository.
    """
    init_default_scope(scope_of(cfg))
    detector = MODELS.build(cfg.model)
    if not isinstance(detector, SparseRCNN):
        kind = part_name(cfg.model)
        raise UserError(f'{cfg.filename} is a {kind}: parts are counted of models of type sparse_rcnn_ext.SparseRCNN')
    # Without a line for each weight. And not the backbone's, which may have to be downloaded.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    detector.rpn_head.init_weights()
    detector.roi_head.init_weights()
    return detector


def write_table(complexity: Complexity, size: tuple[int, int], padded: tuple[int, int]) -> str:
    """The counts as text for a terminal."""
    lines = [f'{"":32}{"parameters":>14}{"multiply-adds":>16}']
    for part in complexity.parts:
        lines.append(f'{"  " * part.level + part.name:32}{part.parameters / 1e6:12.2f} M{part.flops / 1e9:14.3f} G')
    lines.append(f'{"all":32}{complexity.parameters / 1e6:12.2f} M{complexity.flops / 1e9:14.3f} G')
    lines += ['', f'One image of {size[0]} × {size[1]}, padded to {padded[0]} × {padded[1]} pixels.']
    lines.append(
        f'{complexity.trainable / 1e6:.2f} M parameters are trained; '
        f'{(complexity.parameters - complexity.batch_norm) / 1e6:.2f} M are outside of BatchNorm.'
    )
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = open_config(args)
        size = tuple(args.shape or inference_size(cfg))
        padded = padded_size(cfg, size)
        detector = build_detector(cfg)
        other = build_detector(load_config(args.against, None, None)) if args.against else None
        complexity = count_complexity(detector, padded)
    latency = share = None
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if args.latency:
        latency = measure_latency(detector.to(device), size)
    if other:
        share = compare_latency(detector, other.to(device), size)
    if args.json:
        facts = complexity._asdict() | dict(parts=[part._asdict() for part in complexity.parts])
        facts |= dict(config=args.config, size=size, padded_size=padded)
        facts |= dict(latency_seconds=latency, device=device_name(), against=args.against, latency_share=share)
        print(json.dumps(facts, indent=1))
        return
    print(write_table(complexity, size, padded))
    if latency is not None:
        print(f'{latency * 1e3:.1f} ms an image, the median on {device_name()}.')
    if share is not None:
        print(f'It takes {share:.3f} of the time of {args.against}: the median over pairs of runs, in turns.')


if __name__ == '__main__':
    main()
