"""Test a detector: tools/test.py CONFIG CHECKPOINT [options]; prints the COCO table."""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparse_rcnn_ext.engine.config.arguments import (
    add_cfg_options,
    add_inference_options,
    add_launcher,
    add_model,
    add_trust_option,
    end_early,
    exit_on_user_error,
)
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument('--work-dir', help='where the log lands (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--out',
        metavar='FILE.json',
        help="write the detections in COCO's result format; of a MultiDatasetsEvaluator FILE.PREFIX.json each",
    )
    parser.add_argument('--show-dir', metavar='DIR', help='write every image with its detections')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=('bf16', 'fp16', 'auto'),
        help='convolutions and linear layers in half precision; auto (also without a value): as in tools/train.py',
    )
    parser.add_argument('--fuse-conv-bn', action='store_true', help='fold batch norm into the convolutions before it')
    parser.add_argument('--compile', action='store_true', help='torch.compile of the whole network')
    add_inference_options(parser)
    add_launcher(parser)
    add_trust_option(parser)
    add_cfg_options(parser, 'test_dataloader.batch_size=4')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

import torch
from mmdet.evaluation import CocoMetric, MultiDatasetsEvaluator
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.config.config_parts import is_part, scope_of, walk_evaluators
from sparse_rcnn_ext.engine.config.launch import join_job
from sparse_rcnn_ext.engine.config.opening import obey_inference_options, open_config
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.engine.config.pretrained import explain_failed_download
from sparse_rcnn_ext.engine.config.run_config import (
    AMP_DTYPES,
    build_runner,
    set_hook,
)
from sparse_rcnn_ext.engine.training.workers import explain_lost_worker


def show_detections(cfg: Config, folder: str) -> None:
    """Let the visualization hook write every tested image into ``folder``, in folders as the images are."""
    out = str(Path(folder).resolve())
    set_hook(cfg, 'visualization', type='sparse_rcnn_ext.PicturesHook', draw=True, test_out_dir=out)


def keep_detections(cfg: Config, out: str) -> dict[str, str]:
    """Let COCO metrics keep their result files: the first one, or, of a MultiDatasetsEvaluator, that of each data set.

    Returns:
        Where each file will lie, and where it is to go: to ``out``, or to files with the name of a data set each.

    Raises:
        UserError: If ``test_evaluator`` holds no CocoMetric, or ``out`` is no JSON file.
    """
    if not out.endswith('.json'):
        raise UserError(f'--out is {out}: give a file that ends in .json')
    section, evaluator = 'test_evaluator', cfg.test_evaluator
    metrics = [metric for _, metric in walk_evaluators(evaluator, section)]
    names = ['' for _ in metrics]
    if isinstance(evaluator, dict) and is_part(evaluator, MultiDatasetsEvaluator, section, scope_of(cfg)):
        names = [f'.{name.replace("/", "_")}' for name in evaluator.dataset_prefixes]
    files = {}
    for name, metric in zip(names, metrics):
        if is_part(metric, CocoMetric, section, scope_of(cfg)) and (name or not files):
            metric['outfile_prefix'] = out.removesuffix('.json') + name
            files[f'{metric["outfile_prefix"]}.bbox.json'] = f'{metric["outfile_prefix"]}.json'
    if not files:
        raise UserError('--out needs a test_evaluator of type CocoMetric, whose result file it keeps')
    return files


def switch_fast_inference(cfg: Config, amp: str | None, fuse_conv_bn: bool, compile_it: bool) -> None:
    """Let the FastInferenceHook do what any of the three arguments asks; its other settings stay the config's."""
    settings = {}
    if amp:
        settings['dtype'] = AMP_DTYPES.get(amp) or ('float16' if torch.cuda.is_available() else 'bfloat16')
    if fuse_conv_bn:
        settings['fuse_conv_bn'] = True
    if compile_it:
        settings['compile'] = cfg.get('compile') or True
    if settings:
        set_hook(cfg, 'fast_inference', type='sparse_rcnn_ext.FastInferenceHook', **settings)


def build_test_runner(cfg: Config) -> Runner:
    """A Runner that leaves the record of the training as it is.

    mmengine writes the config of every Runner into the run's folder, over that of the training. There the settings of
    one test, such as its --stages, would go on to be those of the model.
    """
    record = Path(cfg.work_dir, Path(cfg.filename).name)
    content = record.read_bytes() if record.is_file() else None
    runner = build_runner(cfg)
    if content is not None and is_main_process():
        record.write_bytes(content)
    return runner


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = open_config(args)
        check_data_paths(cfg, ('test',))
        cfg.load_from = args.checkpoint
        cfg.resume = False
        # A config of another repository lacks it; None switches it off.
        if 'checkpoint_fit' not in (cfg.get('default_hooks') or {}):
            set_hook(cfg, 'checkpoint_fit', type='sparse_rcnn_ext.CheckpointFitHook')
        if args.show_dir:
            show_detections(cfg, args.show_dir)
        switch_fast_inference(cfg, args.amp, args.fuse_conv_bn, args.compile)
        files = keep_detections(cfg, args.out) if args.out else {}
        obey_inference_options(cfg, args)
        join_job(cfg, args.launcher, args.local_rank)
        runner = build_test_runner(cfg)
        with explain_failed_download(cfg):
            explain_lost_worker(runner.test)
        for written, out in files.items() if is_main_process() else ():
            Path(written).replace(out)
            runner.logger.info(f'Detections: {out}')


if __name__ == '__main__':
    main()
