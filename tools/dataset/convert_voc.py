#!/usr/bin/env python
"""Pascal VOC to COCO's JSON: tools/dataset/convert_voc.py ROOT OUT writes OUT/SPLIT.json.

ROOT holds Annotations/*.xml, JPEGImages/ and, for the splits, ImageSets/Main/*.txt. The images stay where they are.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.datasets.convert import convert_voc, write_splits
from sparse_rcnn_ext.engine.errors import exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, metavar='ROOT', help='the VOC folder')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder for the JSONs, made if absent')
    parser.add_argument(
        '--split',
        nargs='+',
        metavar='NAME',
        help='lists of ImageSets/Main/ (default: those of train, val, trainval, test that exist; without any: all)',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='classes to keep, in the order of their ids (default: all in Annotations/, sorted)',
    )
    parser.add_argument(
        '--zero-based',
        action='store_true',
        help='coordinates are edges counted from 0, as some tools write them (default: VOC counts pixels from 1)',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        converted = convert_voc(args.root, args.split, args.classes, args.zero_based)
        print(write_splits(converted, args.out, args.root, 'JPEGImages'))


if __name__ == '__main__':
    main()
