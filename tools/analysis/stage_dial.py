"""AP and latency of a trained model by the number of stages that run: tools/analysis/stage_dial.py CONFIG CHECKPOINT.

Every stage learns to give detections of its own, so a trained model can stop early: model.test_cfg.num_stages, or
tools/test.py --stages. This measures what that costs in AP and saves in time, from one pass over the test set.
"""

import argparse
import json
import sys
from math import isnan
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

NAME = 'stage_dial'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model(parser)
    parser.add_argument('--out', type=Path, metavar='FOLDER', help=f'for {NAME}.md, {NAME}.json and {NAME}.png')
    parser.add_argument('--rounds', type=int, default=20, metavar='N', help='measurements of the latency (default: 20)')
    parser.add_argument('--threads', type=int, metavar='N', help="of torch on the CPU (default: torch's choice)")
    add_trust_option(parser)
    add_cfg_options(parser, 'test_dataloader.batch_size=4')
    args = parser.parse_args(argv)
    for name, value in (('--rounds', args.rounds), ('--threads', args.threads)):
        if value is not None and value < 1:
            parser.error(f'{name} must be at least 1')
    return args


if __name__ == '__main__':
    end_early(parse_args)

import torch
from mmengine.config import Config

from sparse_rcnn_ext.analysis.benchmark.report import machine_facts
from sparse_rcnn_ext.analysis.stage_dial import (
    DialRow,
    as_json,
    draw_chart,
    measure_latencies,
    measure_precisions,
    write_markdown,
)
from sparse_rcnn_ext.engine.config.config_parts import part_name
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.report.evidence import build_dataset, load_detector


def measure(cfg: Config, checkpoint: str, rounds: int) -> tuple[list[DialRow], dict[str, str]]:
    """A row for each number of stages, and what else a reader needs.

    Raises:
        UserError: If the config is no Sparse R-CNN's, its data are not there, or the checkpoint does not fit.
    """
    built = build_dataset(cfg, ('test', 'val'))
    if built is None:
        raise UserError(f'{cfg.filename} has no test_dataloader: give a config with one')
    phase, dataset = built
    model = load_detector(cfg, checkpoint)
    if not isinstance(model, SparseRCNN):
        raise UserError(f'{cfg.filename} is a {part_name(cfg.model)}: only a sparse_rcnn_ext.SparseRCNN can stop early')
    loader = cfg[f'{phase}_dataloader']
    precisions = measure_precisions(model, dataset, loader.get('batch_size') or 1, loader.get('num_workers', 0))
    if isnan(precisions[0]['AP']):
        raise UserError(f'the {phase} set of {cfg.filename} has no object: give one with some')
    seconds = measure_latencies(model, dataset, rounds)
    rows = [DialRow(number, *found) for number, found in enumerate(zip(precisions, seconds, strict=True), start=1)]
    height, width = dataset[0]['data_samples'].img_shape[:2]
    facts = dict(model=f'{Path(cfg.filename).name}, {Path(checkpoint).name}')
    facts['AP on'] = f'{len(dataset):,} images of {phase}_dataloader'
    facts['latency of'] = f'an image of {width} × {height} pixels'
    return rows, facts | machine_facts('cuda' if torch.cuda.is_available() else 'cpu')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = open_config(args)
        if args.threads is not None:
            torch.set_num_threads(args.threads)
        if args.out:
            make_folder(args.out, '--out')
        rows, facts = measure(cfg, args.checkpoint, args.rounds)
    if args.out is None:
        print(write_markdown(rows, facts))
        return
    report = write_markdown(rows, facts, f'{NAME}.png')
    print(report)
    (args.out / f'{NAME}.md').write_text(report)
    (args.out / f'{NAME}.json').write_text(json.dumps(as_json(rows, facts), indent=1) + '\n')
    draw_chart(rows, f'{facts["model"]}; {facts["AP on"]}', args.out / f'{NAME}.png')
    print(f'Wrote {args.out / f"{NAME}.md"}')


if __name__ == '__main__':
    main()
