"""Time exported files beside the detector, on the CPU: tools/analysis/export_latency.py CONFIG [CHECKPOINT] [options].

Each format is written into a temporary folder, compared with the detector on one image, and timed with it in turns,
from the network's input in memory to detections. Prints a table.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, add_trust_option, end_early, exit_on_user_error
from sparse_rcnn_ext.export import FORMATS, require_packages


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; without it weights are random')
    usual = ['onnx', 'openvino', 'torchscript']
    parser.add_argument('--formats', nargs='+', choices=FORMATS, default=usual, help=f'default: {" ".join(usual)}')
    parser.add_argument('--dynamic', action='store_true', help='files that take any size (default: the one size)')
    parser.add_argument('--int8', action='store_true', help='onnx and openvino in integers of 8 bits, too')
    parser.add_argument('--rounds', type=int, default=20, metavar='N', help='measurements of each (default: 20)')
    parser.add_argument('--threads', type=int, metavar='N', help="of each on the CPU (default: torch's choice)")
    add_trust_option(parser)
    add_cfg_options(parser, '"test_dataloader.dataset.pipeline.1.scale=(640,640)"')
    args = parser.parse_args(argv)
    for name, value in (('--rounds', args.rounds), ('--threads', args.threads)):
        if value is not None and value < 1:
            parser.error(f'{name} must be at least 1')
    if args.dynamic and 'tflite' in args.formats:
        parser.error('a .tflite is of one size: leave out --dynamic')
    return args


if __name__ == '__main__':
    end_early(parse_args)

import torch

from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.export.latency_table import build, measure, write_markdown


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        require_packages(name for kind in args.formats for name in FORMATS[kind].packages + FORMATS[kind].runtimes)
        require_packages(FORMATS['onnx'].runtimes if args.int8 else ())
        cfg = open_config(args)
        if args.threads is not None:
            torch.set_num_threads(args.threads)
        detector, classes = build(cfg, args.checkpoint)
        with TemporaryDirectory() as folder:
            options = (args.formats, args.dynamic, args.rounds, Path(folder), args.int8)
            rows, facts = measure(cfg, detector, classes, *options)
        print(write_markdown(rows, facts), end='')


if __name__ == '__main__':
    main()
