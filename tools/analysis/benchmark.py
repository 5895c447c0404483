"""Time this project against mmdet's own SparseRCNN with the same weights: tools/analysis/benchmark.py WHAT [options].

What there is to measure:

train       a training step, whole and by parts
shipped     a training step as the recipes run it, each side in a process of its own; how large that becomes
roi         RoI features of all stages, forward and backward
inference   from an image in memory to its detections, whole and by parts
matching    costs and assignment alone, as proposals and boxes grow
memory      peak memory of a training step
evaluation  COCO evaluation: hotcoco and pycocotools
loading     the training data set built from an annotation file of the size of COCO's
growth      time and memory of a training step against image side, proposals, stages and boxes; a chart each
all         the fixed list with the targets, and growth; only --device, --rounds, --threads and --out count here

Both sides are measured in turns, and only if they compute the same. Report and JSON go to --out.
"""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from sparse_rcnn_ext.analysis.benchmark import (
    AXES,
    BOXES,
    DTYPES,
    PROPOSALS,
    Result,
    Setting,
    as_json,
    describe,
    draw_growth,
    machine_facts,
    measure,
    measure_evaluation,
    measure_growth,
    measure_loading,
    measure_matching,
    measure_rows,
    rows_for,
    settle,
    write_markdown,
)
from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.errors import UserError

WHATS = ('train', 'shipped', 'roi', 'inference', 'matching', 'memory', 'evaluation', 'loading', 'growth')
BATCHES = dict(inference=1, matching=16)
ROUNDS = dict(inference=9, matching=9, roi=9, memory=1, evaluation=3, loading=3, growth=3)
# Small enough that a growth of all four takes minutes on a CPU.
GROWTH = Setting(model='lite0', size=(320, 416))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='+', choices=[*WHATS, 'all'], metavar='WHAT', help=', '.join([*WHATS, 'all']))
    add = parser.add_argument
    add('--model', default='r50', metavar='r50|lite0|CONFIG', help='a config of a Sparse R-CNN (default: r50)')
    add('--device', choices=['cpu', 'cuda'], default='cpu', help='default: cpu')
    add('--batch', type=int, metavar='N', help='images (default: 2; inference 1, matching 16)')
    add('--size', type=int, nargs=2, default=(640, 640), metavar=('HEIGHT', 'WIDTH'), help='default: 640 640')
    add('--proposals', type=int, metavar='N', help="default: the config's; matching 100, 300, 500")
    add('--stages', type=int, metavar='N', help="default: the config's")
    add('--boxes', type=int, metavar='N', help='ground truth boxes an image (default: 10; matching 5, 30, 100)')
    add('--dtype', choices=list(DTYPES), default='float32', help='autocast of both (default: float32, which is none)')
    add('--ours-dtype', choices=list(DTYPES), help='autocast of ours alone (default: --dtype)')
    add('--channels-last', action='store_true', help='ours alone: channels innermost')
    add('--compile', action='store_true', help='ours alone: torch.compile')
    add('--fuse-conv-bn', action='store_true', help='ours alone, inference: batch norm folded into convolutions')
    add('--with-cp', action='store_true', help='ours alone: activations are computed again for the backward pass')
    add('--fused', action='store_true', help='ours alone: fused AdamW')
    others = ', '.join(f'{what} {rounds}' for what, rounds in ROUNDS.items())
    add('--rounds', type=int, metavar='N', help=f'measurements of each side (default: 5; {others})')
    add('--threads', type=int, metavar='N', help="of torch on the CPU (default: torch's choice)")
    add('--images', type=int, metavar='N', help='synthetic images (default: evaluation 500, loading 118287)')
    add('--annotations', type=Path, metavar='FILE', help='evaluation: a COCO file, with --detections')
    add('--detections', type=Path, metavar='FILE', help='evaluation: COCO results')
    add('--grow', nargs='+', type=axis_values, metavar='AXIS=V,V', help=f'growth: of {", ".join(AXES)} (default: all)')
    add('--only', metavar='TEXT', help='all: just the rows that have the text in their name, without growth')
    add('--out', type=Path, metavar='FOLDER', help='for benchmark.md, benchmark.json and charts')
    add('--json', type=Path, metavar='FILE', help='write the JSON there')
    return parser.parse_args(argv)


def axis_values(text: str) -> tuple[str, tuple[int, ...]]:
    """``side=320,480`` as a name and numbers; a name alone has the usual numbers."""
    axis, _, values = text.partition('=')
    if axis not in AXES:
        raise argparse.ArgumentTypeError(f'{axis!r} is not one of {", ".join(AXES)}')
    try:
        return axis, tuple(int(value) for value in values.split(',')) if values else AXES[axis]
    except ValueError:
        raise argparse.ArgumentTypeError(f'{values!r} must be whole numbers with commas between') from None


def choose_setting(args: argparse.Namespace, what: str) -> Setting:
    """What the arguments say on one comparison."""
    return Setting(
        model=args.model,
        device=args.device,
        batch=BATCHES.get(what, 2) if args.batch is None else args.batch,
        size=tuple(args.size),
        boxes=10 if args.boxes is None else args.boxes,
        proposals=args.proposals,
        stages=args.stages,
        dtype=args.dtype,
        ours_dtype=args.ours_dtype,
        channels_last=args.channels_last,
        compile=args.compile,
        fuse_conv_bn=args.fuse_conv_bn,
        fused=args.fused,
        with_cp=args.with_cp,
        rounds=ROUNDS.get(what, 5) if args.rounds is None else args.rounds,
    )


def run_one(args: argparse.Namespace, what: str) -> Result:
    """Anything but growth and all."""
    setting = choose_setting(args, what)
    if what == 'evaluation':
        images = 500 if args.images is None else args.images
        return measure_evaluation(settle(setting), images, args.annotations, args.detections)
    if what == 'loading' and args.images is not None:
        return measure_loading(settle(setting), args.images)
    if what == 'matching':
        proposals = PROPOSALS if args.proposals is None else (args.proposals,)
        boxes = BOXES if args.boxes is None else (args.boxes,)
        return measure_matching([settle(replace(setting, proposals=n, boxes=g)) for n in proposals for g in boxes])
    return measure(what, setting)


def run_growth(setting: Setting, axes: list, out: Path) -> tuple[list[Result], list[str]]:
    """Measure and draw; the results, and the names of the charts."""
    results, charts = [], []
    for axis, values in axes:
        growth, result = measure_growth(setting, axis, values)
        charts.append(f'growth_{axis}.png')
        left_out = ('size',) if axis == 'side' else (axis,)
        draw_growth(growth, describe(settle(setting), left_out), out / charts[-1])
        results.append(result)
    return results, charts


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        if args.threads is not None:
            if args.threads < 1:
                raise UserError(f'--threads is {args.threads}: give at least 1')
            torch.set_num_threads(args.threads)
        grows = 'growth' in args.what or ('all' in args.what and args.only is None)
        if grows and args.out is None:
            raise UserError('growth draws charts: say where to with --out FOLDER')
        settle(choose_setting(args, args.what[0]))
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
        facts = machine_facts(args.device)
        given = sys.argv[1:] if argv is None else argv
        facts['command'] = f'`python tools/analysis/benchmark.py {shlex.join(given)}`'
        reached, results, charts = [], [], []
        if 'all' in args.what:
            rows = [row for row in rows_for(args.device) if (args.only or '').lower() in row.name.lower()]
            if not rows:
                raise UserError(f'--only is {args.only!r}, and no row on {args.device} has that in its name')
            if args.rounds is not None:
                rows = [row._replace(setting=replace(row.setting, rounds=args.rounds)) for row in rows]
            reached, results = measure_rows(rows, lambda text: print(text, flush=True))
        results += [run_one(args, what) for what in args.what if what not in ('all', 'growth')]
        if grows:
            setting = choose_setting(args, 'growth')
            if 'growth' not in args.what:
                setting = replace(GROWTH, device=args.device, rounds=setting.rounds)
            grown, charts = run_growth(setting, args.grow or list(AXES.items()), args.out)
            results += grown
    report = write_markdown(facts, results, reached, charts)
    found = json.dumps(as_json(facts, results, reached), indent=1)
    print(report)
    for path, text in ((args.json, found), (args.out and args.out / 'benchmark.json', found)):
        if path is not None:
            path.write_text(f'{text}\n')
    if args.out is not None:
        (args.out / 'benchmark.md').write_text(report)
        print(f'Wrote {args.out / "benchmark.md"}')


if __name__ == '__main__':
    main()
