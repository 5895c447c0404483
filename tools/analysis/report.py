"""Write a run's report: tools/analysis/report.py RUN [options]; RUN/report.html, and its charts in RUN/report."""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, add_trust_option, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('run', type=Path, help="the run's folder, such as work_dirs/CONFIG_NAME")
    parser.add_argument('--checkpoint', type=Path, help="weights to look at (default: the run's last)")
    parser.add_argument(
        '--images', type=int, metavar='N', help='run the model on N images of the validation set only (default: all)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, metavar='S', help='least score of detections that count (default: 0.3)'
    )
    add_trust_option(parser)
    add_cfg_options(parser, 'val_dataloader.dataset.data_root=data/mine', "settings that override the run's config")
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints
from sparse_rcnn_ext.report.write import write_report


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        trust_checkpoints(args.trust_checkpoint)
        if args.images is not None and args.images < 1:
            raise UserError(f'--images is {args.images}: give at least 1')
        if not 0 <= args.score_thr <= 1:
            raise UserError(f'--score-thr is {args.score_thr:g}: give a number from 0 to 1')
        path = write_report(
            args.run,
            checkpoint=args.checkpoint,
            options=args.cfg_options,
            max_images=args.images,
            score_thr=args.score_thr,
            progress=True,
        )
    print(f'Wrote {path}')


if __name__ == '__main__':
    main()
