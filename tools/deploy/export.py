"""Write a detector as a file that runs without this repository: tools/deploy/export.py CONFIG CHECKPOINT [options].

The file holds the whole detector, from normalised images to boxes, scores and labels, and what else is needed to run
it. `from sparse_rcnn_ext.export import Detector` runs it; docs/export.md says how elsewhere.
"""

import argparse
import os
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import (
    add_cfg_options,
    add_model,
    add_trust_option,
    end_early,
    exit_on_user_error,
)
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export import FORMATS, require_packages


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model(parser)
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='default: onnx')
    parser.add_argument('--dynamic', action='store_true', help='any number of images of any size; else one of one size')
    parser.add_argument('--fp16', action='store_true', help='half the size; half precision where the hardware has it')
    parser.add_argument('--int8', action='store_true', help='a quarter of the size, in integers of 8 bits: for CPUs')
    parser.add_argument('--calibrate', metavar='train|val|test|FOLDER', help='images for --int8 (default: train)')
    parser.add_argument('--calibration-images', type=int, metavar='N', help='of them (default: 300)')
    parser.add_argument('--stages', type=int, metavar='N', help='stop after so many stages: faster, less exact')
    parser.add_argument('--check', metavar='IMAGE', help='compare the file with the detector, and time both')
    parser.add_argument('--out', type=Path, metavar='FILE', help="default: the checkpoint's name with the new ending")
    add_trust_option(parser)
    add_cfg_options(parser, '"test_dataloader.dataset.pipeline.1.scale=(640,640)"')
    args = parser.parse_args(argv)
    if args.int8 and (args.fp16 or args.format not in ('onnx', 'openvino')):
        parser.error(
            f'--int8 is for onnx and openvino: leave out {"--fp16" if args.fp16 else f"--format {args.format}"}'
        )
    if args.format == 'tflite' and (args.dynamic or args.fp16):
        parser.error(f'a .tflite is of float32 and one size: leave out {"--dynamic" if args.dynamic else "--fp16"}')
    if not args.int8 and (args.calibrate, args.calibration_images) != (None, None):
        parser.error('--calibrate and --calibration-images are for --int8: give that, too')
    if args.calibration_images is not None and args.calibration_images < 1:
        parser.error('--calibration-images must be at least 1')
    return args


if __name__ == '__main__':
    end_early(parse_args)

import torch
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.export.check import LEVELS, TOLERANCES, Check, check_file
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.latency_table import refuse_other_models
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.quantization import calibration_images, write_int8
from sparse_rcnn_ext.export.runtime import Detector
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction import LoadedImage, Predictor, UnreadableError


def read_config(args: argparse.Namespace) -> Config:
    """The config with what the options ask for.

    Raises:
        UserError: If it is none of a Sparse R-CNN of this repository, or an option or the checkpoint is wrong.
    """
    cfg = open_config(args)
    refuse_other_models(cfg)
    if args.stages is not None:
        most = cfg.model.roi_head.num_stages
        if not 1 <= args.stages <= most:
            raise UserError(f'--stages is {args.stages}: the model has {most}, give a number from 1 to {most}')
        cfg.merge_from_dict({'model.test_cfg.num_stages': args.stages})
    return cfg


def choose_out(args: argparse.Namespace) -> Path:
    """Where the file goes.

    Raises:
        UserError: If its ending is not that of the format, or it cannot be written.
    """
    ending = FORMATS[args.format].ending
    out = args.out or Path(Path(args.checkpoint).stem + ending) if '://' in args.checkpoint else args.out
    out = out or Path(args.checkpoint).with_suffix(ending)
    if out.suffix != ending:
        raise UserError(f'--out is {out}: a file of --format {args.format} ends in {ending}')
    if not out.parent.is_dir():
        raise UserError(f'--out is {out}, and there is no folder {out.parent}: make it first')
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise UserError(f'{out} cannot be written: name another file as --out')
    return out


def describe_check(check: Check, precision: str) -> str:
    """What a check found, in lines for people."""
    pixels = check.pixels
    found, tolerance = check.difference, TOLERANCES[precision]
    ours, theirs = check.seconds
    lines = [
        f'precision: {precision}',
        "input: another size than the test pipeline's, as the file has a fixed one"
        if pixels is None
        else f"input: at most {pixels:.2f} of 255 levels from the test pipeline's",
        f'detections over {tolerance.score_thr:g}: {found.compared} compared, '
        f'{found.missing} without a partner of the same label, IoU of at least {tolerance.iou:g} and score within '
        f'{tolerance.score:g}',
        f'partners: least IoU {found.iou:.6f}, scores at most {found.score:.1e} apart',
        f'time on the CPU: {ours * 1e3:.1f} ms the file, {theirs * 1e3:.1f} ms the detector, ratio {ours / theirs:.2f}',
    ]
    return '\n'.join(lines)


def read_check_image(predictor: Predictor, path: str) -> LoadedImage:
    """The image of ``--check``, as the test pipeline loads it.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        return predictor.read(Path(path))
    except UnreadableError as error:
        raise UserError(f'--check {path} cannot be read ({error}): give an image') from error


def check_out(out: Path, predictor: Predictor, image: LoadedImage) -> None:
    """Print how the file compares.

    Raises:
        UserError: If something differs by more than a file of its precision may.
    """
    file = Detector(out, torch.get_num_threads())
    precision = file.metadata['precision']
    tolerance = TOLERANCES[precision]
    check = check_file(file, predictor, image, tolerance)
    print(describe_check(check, precision))
    if not check.difference.is_within(tolerance) or (check.pixels or 0) > LEVELS:
        raise UserError(f'{out} does not compute what the detector does: do not use it')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        require_packages(FORMATS[args.format].packages + (FORMATS[args.format].runtimes if args.check else ()))
        require_packages(FORMATS['onnx'].runtimes if args.int8 else ())
        out = choose_out(args)
        cfg = read_config(args)
        predictor = Predictor(cfg, args.checkpoint, 'cpu')
        model: SparseRCNN = predictor.model
        metadata = describe(cfg, model, predictor.classes, args.dynamic, args.fp16)
        image = read_check_image(predictor, args.check) if args.check else None
        graph = DetectionGraph(model, metadata['pad_divisor'], args.fp16)
        try:
            if args.int8:
                write_int8(
                    graph,
                    metadata,
                    out,
                    calibration_images(cfg, args.calibrate or 'train', args.calibration_images or 300),
                )
            else:
                FORMATS[args.format].write(graph, metadata, out)
        except OSError as error:
            raise UserError(f'{out} cannot be written ({error.strerror}): name another file as --out') from error
        size = 'any number of images of any size' if args.dynamic else 'one image of {} × {}'.format(*metadata['size'])
        # OpenVINO's weights are in a file beside.
        written = [out, out.with_suffix('.bin')] if args.format == 'openvino' else [out]
        megabytes = sum(file.stat().st_size for file in written) / 1e6
        print(f'{out}: {megabytes:.1f} MB, {metadata["stages"]} stages, takes {size}')
        if image is not None:
            check_out(out, predictor, image)


if __name__ == '__main__':
    main()
