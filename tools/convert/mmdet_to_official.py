"""Make a checkpoint of ours or mmdet's one of the official repository: tools/convert/mmdet_to_official.py IN OUT.

IN is a .pth of a Sparse R-CNN with a ResNet and FPN, of tools/train.py or of mmdet's model zoo. OUT is a .pth or a
.pkl for https://github.com/PeizeSun/SparseR-CNN, whose config that fits is printed.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_trust_option, end_early, exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='IN', help='checkpoint of tools/train.py or of mmdet')
    parser.add_argument('out', metavar='OUT', help='the .pth or .pkl to write')
    parser.add_argument(
        '--softmax',
        action='store_true',
        help='the last class is "no object", where the checkpoint does not tell by its config or its classes',
    )
    add_trust_option(parser)
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.convert import (
    is_softmax,
    official_config,
    ours_to_official,
    read_sizes,
    read_weights_and_meta,
    write_official,
)
from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        trust_checkpoints(args.trust_checkpoint)
        state, meta = read_weights_and_meta(args.source)
        softmax = args.softmax or is_softmax(state, meta)
        official = ours_to_official(state, args.source, softmax)
        sizes = read_sizes(state, args.source, softmax)
        write_official(official, args.out)
    config, settings = official_config(sizes)
    options = ' '.join(f'{name} {value}' for name, value in settings.items())
    print(f'Wrote {args.out}: {sizes}.')
    print(f'Config: {config}')
    print(f'To test there: python projects/SparseRCNN/train_net.py --eval-only --config-file {config}', end=' ')
    print(f'MODEL.WEIGHTS {args.out} {options}'.strip())
    print('The official code clips boxes to the image, as our recipes do and mmdet does not.')
    print('It lets a stage change a side by more than mmdet does.')


if __name__ == '__main__':
    main()
