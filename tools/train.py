"""Train a detector: tools/train.py CONFIG [options]; the run lands in work_dirs/CONFIG_NAME/."""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparse_rcnn_ext.engine.config.arguments import (
    OptionAction,
    add_launcher,
    add_trust_option,
    end_early,
    exit_on_user_error,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints land (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|PATH',
        help='go on from a checkpoint; auto (also without a value): from the last one in the work dir, if any',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=('bf16', 'fp16', 'auto'),
        help='mixed precision; auto (also without a value): fp16 on CUDA, bf16 on the CPU',
    )
    parser.add_argument(
        '--compile', action='store_true', help='torch.compile of backbone, neck and stages (compile=True of the config)'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate linearly from the recipe's batch, counting processes and accumulated steps",
    )
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    add_launcher(parser)
    add_trust_option(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='knobs at the top of the config (long_side=512) or settings of it (model.rpn_head.num_proposals=50)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.engine.checkpoints.atomic_file import explain_disk_errors
from sparse_rcnn_ext.engine.config.launch import join_job
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.engine.config.pretrained import check_pretrained, explain_failed_download
from sparse_rcnn_ext.engine.config.run_config import build_runner, choose_checkpoint, switch_amp
from sparse_rcnn_ext.engine.config.schedule import set_learning_rate
from sparse_rcnn_ext.engine.speed.compilation import switch_compile
from sparse_rcnn_ext.engine.training.workers import explain_lost_worker


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = open_config(args)
        if args.amp:
            switch_amp(cfg, args.amp)
        switch_compile(cfg, args.compile)
        if args.auto_scale_lr:
            cfg.merge_from_dict({'auto_scale_lr.enable': True})
        if args.seed is not None:
            cfg.merge_from_dict({'randomness.seed': args.seed})
        check_data_paths(cfg, ('train', 'val'))
        check_pretrained(cfg)
        join_job(cfg, args.launcher, args.local_rank)
        choose_checkpoint(cfg, args.resume)
        with explain_disk_errors(cfg.work_dir):
            runner = build_runner(cfg)
            set_learning_rate(runner)
            with explain_failed_download(cfg):
                explain_lost_worker(runner.train)


if __name__ == '__main__':
    main()
