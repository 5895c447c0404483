"""Sort a detector's errors by kind, as TIDE does: tools/analysis/analyze_errors.py CONFIG [CHECKPOINT] [options].

Kinds are class, location, both, duplicate, background and missed. For each: the AP50 that it costs, and how many there
are. It prints a table, and writes errors.json and errors.png. Detections come from the checkpoint, or from a file that
tools/test.py --out wrote.
"""

import argparse
import json
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, add_trust_option, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file; its test set is looked at')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file or its address')
    parser.add_argument('--detections', type=Path, metavar='FILE.json', help="in COCO's result format")
    parser.add_argument('--out', type=Path, metavar='DIR', help="default: errors in the run's folder")
    parser.add_argument(
        '--score-thr', type=float, default=0.3, metavar='S', help='least score of counted detections (default: 0.3)'
    )
    add_trust_option(parser)
    add_cfg_options(parser, 'test_dataloader.batch_size=4')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from sparse_rcnn_ext.datasets.check.report import format_table
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.report.error_split import ErrorSplit, draw_errors, split_errors
from sparse_rcnn_ext.report.evidence import build_dataset, load_detector, read_truth
from sparse_rcnn_ext.report.outcomes import judge
from sparse_rcnn_ext.report.predictions import predict_stages, read_results


def detect(cfg: Config, phase: str, dataset: BaseDataset, checkpoint: str, score_thr: float) -> list[dict]:
    """The detections of a checkpoint in all images."""
    loader = cfg[f'{phase}_dataloader']
    predictions = predict_stages(
        load_detector(cfg, checkpoint),
        dataset,
        range(len(dataset)),
        loader.get('batch_size') or 1,
        loader.get('num_workers', 0),
        score_thr,
        progress=True,
    )
    return predictions.stages[-1]


def write_table(split: ErrorSplit) -> str:
    """The split as text for a terminal."""
    rows = [(kind.name, f'{kind.ap50_lost:.3f}', kind.count, f' {kind.meaning}') for kind in split.kinds]
    width = max(len(row[-1]) for row in rows)
    rows = [(*row[:-1], row[-1].ljust(width)) for row in rows]
    table = format_table(('error', 'AP50 lost', f'count (score ≥ {split.score_thr:g})', ''), rows)
    return (
        f'{table}\n\nAP50 {split.ap50:.3f}; lost by wrong detections {split.false_positives_lost:.3f}, '
        f'by objects not found {split.false_negatives_lost:.3f}'
    )


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        if (args.checkpoint is None) == (args.detections is None):
            raise UserError('give either a checkpoint or --detections')
        cfg = open_config(args)
        out = args.out or Path(cfg.work_dir, 'errors')
        built = build_dataset(cfg, ('test', 'val'))
        if built is None:
            raise UserError(f'{args.config} has no test_dataloader: errors are those on a data set')
        phase, dataset = built
        if args.detections:
            found = read_results(args.detections, dataset)
        else:
            found = detect(cfg, phase, dataset, args.checkpoint, args.score_thr)
        truth = read_truth(dataset, range(len(dataset)))
        judgement = judge(truth, found, dataset.metainfo['classes'])
        if not judgement.objects_by_class().any():
            raise UserError(f'the {phase} set of {args.config} has no object: give one with some')
        split = split_errors(truth, judgement.found, args.score_thr)
        make_folder(out, '--out')
    facts = split._asdict() | dict(kinds=[kind._asdict() for kind in split.kinds])
    (out / 'errors.json').write_text(json.dumps(facts, indent=1) + '\n')
    draw_errors(split, out)
    print(write_table(split))
    print(f'Wrote {out / "errors.json"} and {out / "errors.png"}')


if __name__ == '__main__':
    main()
