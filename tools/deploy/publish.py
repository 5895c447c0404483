"""Make a file to hand out of a checkpoint: tools/deploy/publish.py CHECKPOINT OUT.safetensors.

It holds the weights alone (the averaged ones, where the training averaged), the names of the classes and of the config,
and cannot run code. Its hash becomes part of its name, by which downloads are verified. tools/train.py (load_from),
test.py, predict.py and deploy/export.py take it in place of a checkpoint, as a file or by its address.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_trust_option, end_early, exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='checkpoint of tools/train.py')
    parser.add_argument('out', type=Path, metavar='OUT.safetensors', help='a part of the hash is added to the name')
    parser.add_argument('--config', metavar='NAME', help='the config that fits (default: that of the training)')
    add_trust_option(parser)
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.engine.checkpoints.publishing import publish
from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        trust_checkpoints(args.trust_checkpoint)
        published = publish(args.checkpoint, args.out, args.config)
        path, facts = published.path, published.facts
        size = f'{path.stat().st_size / 1e6:.1f} MB, {published.parameters / 1e6:.2f} million numbers'
        print(f'{path}: {size}, {len(facts["classes"])} classes, config {facts["config"]}')
        print('Lines for metafile.yml, with the address of its folder:')
        print(f'    Weights: ADDRESS/{path.name}')
        print(f'    SHA256: {published.sha256}')


if __name__ == '__main__':
    main()
