"""Make a checkpoint of the official repository ours: tools/convert/official_to_mmdet.py IN OUT.

IN is a .pth or .pkl of https://github.com/PeizeSun/SparseR-CNN, with any ResNet, number of proposals, stages and
classes. OUT is for tools/test.py, tools/train.py (load_from) and mmdet. The config that fits is printed, with the
settings that make our model compute as theirs; with USE_FOCAL False it is that of the softmax.
Checkpoints of mmdet's model zoo need no conversion.
"""

import argparse
import shlex
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_trust_option, end_early, exit_on_user_error

REPO = Path(__file__).resolve().parents[2]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='IN', help='checkpoint of the official repository, .pth or .pkl')
    parser.add_argument('out', metavar='OUT', help='the .pth to write')
    parser.add_argument(
        '--softmax',
        action='store_true',
        help='the last class is "no object", where the checkpoint does not tell (USE_FOCAL False there)',
    )
    add_trust_option(parser)
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.convert import find_fitting_config, is_softmax, official_to_ours, read_weights, write_ours
from sparse_rcnn_ext.convert.fitting_config import FittingConfig
from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints


def describe(fitting: FittingConfig, out: str) -> str:
    """What the user needs to know to use the weights."""
    config = fitting.path.relative_to(REPO)
    options = [shlex.quote(f'{name}={write(value)}') for name, value in fitting.options.items()]
    lines = [f'Wrote {out}: {fitting.sizes}.', f'Config: {config}']
    lines += ['Options that the sizes need:'] if fitting.shape_options else []
    lines += [f'  {name}={write(value)}' for name, value in fitting.shape_options.items()]
    lines.append('Options for the limits of the official code in place of mmdet’s:')
    lines += [f'  {name}={write(value)}' for name, value in fitting.official_options.items()]
    if fitting.sizes.channels != 256:
        lines.append('The number of attention heads is not in the weights: 8, or model.roi_head.bbox_head.num_heads=N.')
    lines.append(f'To test: python tools/test.py {config} {shlex.quote(out)} --cfg-options {" ".join(options)}')
    return '\n'.join(lines)


def write(value: object) -> str:
    """A value as --cfg-options reads it."""
    if isinstance(value, (list, tuple)):
        text = ','.join(map(write, value))
        return f'[{text}]' if isinstance(value, list) else f'({text})'
    return f'{value:g}' if isinstance(value, float) else str(value)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        trust_checkpoints(args.trust_checkpoint)
        official = read_weights(args.source)
        softmax = args.softmax or is_softmax(official, {})
        state = official_to_ours(official, args.source)
        fitting = find_fitting_config(state, args.source, REPO / 'configs/sparse_rcnn', softmax)
        write_ours(state, args.out, softmax)
    print(describe(fitting, args.out))


if __name__ == '__main__':
    main()
