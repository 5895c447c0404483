"""Detect objects in images, folders, videos or webcams: tools/predict.py CONFIG CHECKPOINT INPUT… [options].

CHECKPOINT may be a file that tools/deploy/export.py wrote.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparse_rcnn_ext.engine.config.arguments import (
    add_cfg_options,
    add_inference_options,
    add_model,
    add_trust_option,
    end_early,
    exit_on_user_error,
)
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help="images, videos, folders (with all below), patterns such as 'a/**/*.jpg', file:// URLs, or the number of "
        'a webcam',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='pictures and videos with boxes (default: predictions; none with --json)',
    )
    parser.add_argument('--json', type=Path, metavar='FILE.json', help="the detections in COCO's result format")
    parser.add_argument('--ids', type=Path, metavar='ANNOTATIONS.json', help='number images and classes as it does')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='S', help='the least score (default: 0.3)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='only these')
    parser.add_argument('--batch-size', type=int, default=1, metavar='N', help='images (or slices) at a time')
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: the GPU if there is one)')
    add_inference_options(parser)
    parser.add_argument('--slice', type=int, metavar='SIDE', help='also look at slices of so many pixels')
    add_trust_option(parser)
    add_cfg_options(parser, 'model.test_cfg.max_per_img=300')
    return parser.parse_args(argv)


def check_options(args: argparse.Namespace) -> None:
    """Raise UserError for a value that makes no sense."""
    if not 0 <= args.score_thr <= 1:
        raise UserError(f'--score-thr is {args.score_thr}: give a number from 0 to 1')
    for name, value, least in (('--batch-size', args.batch_size, 1), ('--slice', args.slice, 16)):
        if value is not None and value < least:
            raise UserError(f'{name} is {value}: give at least {least}')
    if args.json and args.json.suffix != '.json':
        raise UserError(f'--json is {args.json}: give a file that ends in .json')
    if args.ids and not args.json:
        raise UserError('--ids numbers what --json writes: give both')


if __name__ == '__main__':
    end_early(parse_args, check_options)

from mmengine.config import Config

from sparse_rcnn_ext.engine.config.opening import obey_inference_options, open_config
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.export import FORMATS
from sparse_rcnn_ext.prediction import (
    AnnotationIds,
    CocoFiles,
    CocoIds,
    Detector,
    ExportedPredictor,
    PictureFiles,
    Predictor,
    Sink,
    Source,
    Summary,
    find_sources,
    predict_all,
)


def is_exported(checkpoint: str) -> bool:
    """Whether it is a file of tools/deploy/export.py, by its ending."""
    return checkpoint.endswith(tuple(kind.ending for kind in FORMATS.values()))


def choose_labels(names: Sequence[str] | None, classes: Sequence[str]) -> list[int] | None:
    """The labels of the classes that ``--classes`` names; None without it."""
    for name in names or ():
        if name not in classes:
            raise UserError(f'--classes has {name!r}, and the model knows {", ".join(classes)}: give some of these')
    return [classes.index(name) for name in names] if names else None


def open_predictor(cfg: Config, args: argparse.Namespace) -> Predictor | ExportedPredictor:
    """What finds objects, in CHECKPOINT or in an exported file."""
    if is_exported(args.checkpoint):
        return ExportedPredictor(args.checkpoint, args.batch_size)
    return Predictor(cfg, args.checkpoint, args.device)


def slice_up(predictor: Detector, args: argparse.Namespace) -> Detector:
    """The predictor, for slices where ``--slice`` asks for them."""
    if args.slice is None:
        return predictor
    try:
        from sparse_rcnn_ext.prediction.slices import SlicedPredictor
    except ModuleNotFoundError as error:
        raise UserError(f'--slice needs sahi ({error}): pip install -r requirements/demo.txt') from error
    return SlicedPredictor(predictor, args.slice, args.batch_size)


def make_sinks(args: argparse.Namespace, sources: Sequence[Source], classes: Sequence[str]) -> list[Sink]:
    """What takes the detections."""
    sinks = []
    if args.out:
        sinks.append(PictureFiles(args.out, sources, classes))
    if args.json:
        sinks.append(CocoFiles(args.json, AnnotationIds(classes, args.ids, sources) if args.ids else CocoIds(classes)))
    return sinks


def describe(summary: Summary, args: argparse.Namespace) -> str:
    """One line for people."""
    parts = [f'{summary.images} images, {summary.detections} detections with a score of at least {args.score_thr:g}']
    if summary.problems:
        inputs = 'input' if summary.problems == 1 else 'inputs'
        parts.append(f'{summary.problems} {inputs} could not be read, or not in full')
    if summary.was_stopped:
        parts.append('stopped before the end')
    places = [f'pictures in {args.out}'] if args.out and summary.images else []
    places += [f'detections in {args.json}'] if args.json else []
    return '; '.join([*parts, ' and '.join(places)]).removesuffix('; ')


def read_config(args: argparse.Namespace) -> Config:
    """The config with what the options ask for."""
    if is_exported(args.checkpoint):
        for name in ('stages', 'tta', 'device', 'cfg_options'):
            if getattr(args, name):
                option = f'--{name.replace("_", "-")}'
                raise UserError(f'{option} is for checkpoints, and {args.checkpoint} is an exported file: leave it out')
        return load_config(args.config, None, None)
    cfg = open_config(args)
    obey_inference_options(cfg, args)
    return cfg


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        check_options(args)
        cfg = read_config(args)
        if not (args.out or args.json):
            args.out = Path('predictions')
        sources, problems = find_sources(args.inputs, except_in=args.out)
        for problem in problems:
            print(f'skipped {problem}', file=sys.stderr)
        if not sources:
            raise UserError('nothing to read: give images, folders, patterns, videos or the number of a webcam')
        predictor = open_predictor(cfg, args)
        labels = choose_labels(args.classes, predictor.classes)
        sinks = make_sinks(args, sources, predictor.classes)
        detector = slice_up(predictor, args)
        summary = predict_all(detector, sources, sinks, args.score_thr, labels, args.batch_size)
        summary = summary._replace(problems=summary.problems + len(problems))
    print(describe(summary, args))
    if not summary.images or summary.too_large:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
