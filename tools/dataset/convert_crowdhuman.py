#!/usr/bin/env python
"""CrowdHuman to COCO's JSON: tools/dataset/convert_crowdhuman.py ROOT OUT writes OUT/train.json and OUT/val.json.

ROOT holds annotation_train.odgt, annotation_val.odgt and Images/. The images stay where they are.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import end_early, exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, metavar='ROOT', help='the CrowdHuman folder')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder for the JSONs, made if absent')
    parser.add_argument(
        '--split', nargs='+', choices=('train', 'val'), help='splits to convert (default: those that are there)'
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.datasets.convert import convert_crowdhuman, write_splits


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        print(write_splits(convert_crowdhuman(args.root, args.split), args.out, args.root, 'Images'))


if __name__ == '__main__':
    main()
