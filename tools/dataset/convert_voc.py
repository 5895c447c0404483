#!/usr/bin/env python
"""Pascal VOC to COCO's JSON: tools/dataset/convert_voc.py ROOT OUT writes OUT/SPLIT.json.

ROOT holds Annotations/*.xml, JPEGImages/ and, for the splits, ImageSets/Main/*.txt; or XML files beside their images;
or a folder of either kind for each split. The images stay where they are.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import end_early, exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, metavar='ROOT', help='the VOC folder')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder for the JSONs, made if absent')
    parser.add_argument(
        '--split',
        nargs='+',
        metavar='NAME',
        help='lists of ImageSets/Main/, or folders (default: train, val, trainval, test, as far as there; else all)',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='classes to keep, in the order of their ids (default: all in Annotations/, sorted)',
    )
    parser.add_argument(
        '--first-pixel',
        type=int,
        choices=(0, 1),
        help='where coordinates count from: 0, as with nearly all tools, or 1, as in VOC itself (default: 1 for files '
        'whose source is VOC or supervision, and 0 for all others)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.datasets.convert import convert_voc, write_splits


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        converted, image_prefix = convert_voc(args.root, args.split, args.classes, args.first_pixel)
        print(write_splits(converted, args.out, args.root, image_prefix))


if __name__ == '__main__':
    main()
