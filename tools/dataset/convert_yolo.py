#!/usr/bin/env python
"""YOLO to COCO's JSON: tools/dataset/convert_yolo.py DATA OUT writes OUT/SPLIT.json.

DATA is the data.yaml of Ultralytics with names, and path, train, val, test; or the obj.data of darknet; or a folder
with one of these or with a classes.txt. The images stay where they are.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import end_early, exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, metavar='DATA', help="the data set's description or folder")
    parser.add_argument('out', type=Path, metavar='OUT', help='folder for the JSONs, made if absent')
    parser.add_argument(
        '--split', nargs='+', choices=('train', 'val', 'test'), help='splits to convert (default: all that it has)'
    )
    parser.add_argument(
        '--ids-from',
        type=int,
        default=0,
        metavar='N',
        help="the number that stands for the first of the names (default: 0; 1 where COCO's ids were written)",
    )
    parser.add_argument(
        '--allow-outside', action='store_true', help="read images outside of DATA's folder where DATA names some"
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.datasets.convert import convert_yolo, write_splits


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        converted, root = convert_yolo(args.data, args.split, args.ids_from, args.allow_outside)
        print(write_splits(converted, args.out, root, ''))


if __name__ == '__main__':
    main()
