"""Replay the batch that stopped a training: tools/analysis/replay_batch.py CONFIG CHECKPOINT BATCH.pt [options].

BATCH.pt is what the end of the training named, non_finite/iter_N.pt in its folder, CHECKPOINT the last good one. Shown
are the losses, the first module and the gradients that are not finite, and the images; the last line says whether it
fails again with these weights, and what to do.
"""

import argparse
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


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model(parser)
    parser.add_argument('batch', metavar='BATCH.pt', help='file of the batch')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=('bf16', 'fp16', 'auto', 'off'),
        help="mixed precision; auto (also without a value): as in tools/train.py (default: the config's precision)",
    )
    parser.add_argument(
        '--anomaly',
        action='store_true',
        help='run it a second time, slowly, to name the first operation of the backward pass that gives NaN',
    )
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: the GPU if there is one)')
    add_trust_option(parser)
    add_cfg_options(parser, 'model.criterion.loss_bbox.loss_weight=1')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

import torch

from sparse_rcnn_ext.analysis.replay_report import Source, write_report
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.run_config import check_device
from sparse_rcnn_ext.engine.training.batch_replay import build_to_train, choose_precision, replay, training_state
from sparse_rcnn_ext.engine.training.finite_check import ill_weights
from sparse_rcnn_ext.engine.training.saved_batch import read_batch
from sparse_rcnn_ext.prediction.predictor import load_weights, read_weights


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = open_config(args)
        device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
        check_device(device)
        dtype = choose_precision(cfg, args.amp, device)
        checkpoint = read_weights(args.checkpoint)
        saved = read_batch(args.batch)
        model = build_to_train(cfg, device)
        load_weights(model, training_state(checkpoint), args.checkpoint)
        iteration = (checkpoint.get('meta') or {}).get('iter')
        precision = str(dtype).removeprefix('torch.') if dtype else None
        source = Source(args.checkpoint, iteration, ill_weights(model), precision)
        found = replay(model, saved, dtype, args.anomaly)
    print(write_report(saved, found, source, args.anomaly))


if __name__ == '__main__':
    main()
