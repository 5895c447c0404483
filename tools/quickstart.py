"""Make data, train a small Sparse R-CNN on them, test it and draw what it sees, on a CPU in minutes.

    python tools/quickstart.py

A second run reuses what is there: finished data and a finished training are kept, an interrupted training goes on.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import shlex
import signal
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tool_steps import PROGRESS, REPO, Steps, run_tool, say

from sparse_rcnn_ext.engine.config.arguments import OptionAction, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError

CONFIG = REPO / 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_best_shapes.py'
OWN_DATA = REPO / 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_own-data.py'
NUM_TRAIN = 1200
NUM_VAL = 200
STAMP = 'quickstart.json'
START = Path.cwd()
COCO_LINE = re.compile(r'^ Average (?:Precision|Recall) .* = (-?\d\.\d{3})$')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work-dir', type=Path, help='where the run lands (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--data-root', type=Path, help="where the data are or will be (default: the config's data_root)"
    )
    parser.add_argument('--fresh', action='store_true', help='train again, whatever is there')
    parser.add_argument('--config', type=Path, default=CONFIG, help='another config for the same data')
    parser.add_argument('--num-train', type=int, default=NUM_TRAIN, metavar='N', help='training images')
    parser.add_argument('--num-val', type=int, default=NUM_VAL, metavar='N', help='held-out images')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE', help='settings that override the config'
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

from mmengine.config import Config
from mmengine.runner.checkpoint import find_latest_checkpoint

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.visualization import draw_run


def relocate(node: object, old: str, new: str) -> object:
    """The config ``node`` with every path below ``old`` moved below ``new``."""
    if isinstance(node, dict):
        return {key: relocate(value, old, new) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(relocate(value, old, new) for value in node)
    return new + node.removeprefix(old) if isinstance(node, str) and node.startswith(old) else node


def settle_config(args: argparse.Namespace) -> tuple[Config, Path]:
    """The config of this run, and a file that holds it.

    Raises:
        UserError: If there is no such config, an option does not fit it, or it names no ``data_root``.
    """
    cfg = load_config(str(args.config), args.cfg_options, None)
    if not cfg.get('data_root'):
        raise UserError(f'{args.config} has no data_root: set it to the folder where the data will be made')
    if args.data_root:
        cfg = Config(relocate(cfg.to_dict(), cfg.data_root, f'{args.data_root}/'))
    elif not args.cfg_options:
        return cfg, args.config
    path = args.work_dir / 'config' / args.config.name
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg.dump(path)
    return cfg, path


def train(cfg: Config, config: Path, work_dir: Path, data: str, fresh: bool) -> Path:
    """Train unless that is done already; return the checkpoint.

    Args:
        cfg: The settings; with ``data`` they decide whether a checkpoint in ``work_dir`` is the right one.
        config: The file that holds them.
        work_dir: Where checkpoints land, and the stamp that says what they were trained with and whether to the end.
        data: What identifies the data set.
        fresh: Train in any case.

    Raises:
        UserError: If ``work_dir`` holds checkpoints that this tool did not make, or training fails.
    """
    settings = json.dumps(cfg.to_dict(), sort_keys=True, default=str)
    fingerprint = hashlib.sha256((settings + data).encode()).hexdigest()
    path = work_dir / STAMP
    stamp = json.loads(path.read_text()) if path.is_file() else None
    checkpoint = last_checkpoint(work_dir)
    if stamp is None and any(work_dir.glob('*.pth')):
        raise UserError(f'{work_dir} holds checkpoints of another run: name another folder with --work-dir')
    fits = checkpoint and stamp['fingerprint'] == fingerprint and not fresh
    if fits and stamp['finished']:
        say(f'Trained already: {shorten(checkpoint)} is used; --fresh trains again.')
        return checkpoint
    if fits:
        say(f'An earlier run was interrupted: training goes on from {shorten(checkpoint)}.')
    else:
        if checkpoint:
            say(f'Training anew, because {"--fresh was given" if fresh else "the settings or the data changed"}.')
        # First the record, so that it never names a file that is gone.
        for old in (work_dir / 'last_checkpoint', *work_dir.glob('*.pth')):
            old.unlink(missing_ok=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(fingerprint=fingerprint, finished=False)))
    run_tool('tools/train.py', config, '--work-dir', work_dir, '--resume', shown=PROGRESS)
    path.write_text(json.dumps(dict(fingerprint=fingerprint, finished=True)))
    return last_checkpoint(work_dir)


def last_checkpoint(work_dir: Path) -> Path | None:
    """The newest checkpoint, found also where the folder was moved since."""
    if not (work_dir / 'last_checkpoint').is_file():
        return None
    path = work_dir / Path(find_latest_checkpoint(str(work_dir))).name
    return path if path.is_file() else None


def shorten(path: Path) -> str:
    """``path`` as seen from the folder in which the command was given."""
    return str(path.relative_to(START) if path.is_relative_to(START) else path)


def in_shell(path: Path | str) -> str:
    """:func:`shorten` for a command that can be pasted, also where a name has spaces."""
    return shlex.quote(shorten(Path(path)))


def peak_gigabytes() -> float:
    """The most memory that this process or one of its children ever held, in 10⁹ bytes."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / 1e9 * (1 if sys.platform == 'darwin' else 1024)


def duration(seconds: float) -> str:
    return f'{int(seconds) // 60:2d} min {int(seconds) % 60:02d} s'


def report(
    steps: Steps, table: list[str], to_see: tuple[Path, ...], config: Path, checkpoint: Path, images: Path
) -> None:
    """What came out, at the end of all output."""
    lines = ['\n=== done', *table, '', f'AP {COCO_LINE.match(table[0])[1]} on the held-out images, after:']
    lines += [f'  {name:<6} {duration(seconds)}' for name, seconds in steps.seconds.items()]
    lines += [f'  total  {duration(sum(steps.seconds.values()))}, {peak_gigabytes():.1f} GB in the biggest process']
    python, tools, requirements = (in_shell(path) for path in (sys.executable, REPO / 'tools', REPO / 'requirements'))
    trained = f'{in_shell(config)} {in_shell(checkpoint)}'
    recipe = in_shell(REPO / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    lines += ['', 'What to try next:']
    lines += [f'  your data  {python} {tools}/train.py {in_shell(OWN_DATA)} --cfg-options data_root=FOLDER']
    lines += [f'  COCO       put it into data/coco, then {python} {tools}/train.py {recipe}']
    lines += [f'  pictures   {python} {tools}/predict.py {trained} {in_shell(images)}']
    install = f'{python} -m pip install -r {requirements}'
    lines += [f'  a page     {install}/demo.txt && {python} {tools}/demo.py {trained}']
    lines += [f'  ONNX       {install}/deploy.txt && {python} {tools}/deploy/export.py {trained} --dynamic']
    lines += ['', 'To look at:', *(f'  {shorten(path)}' for path in to_see)]
    say('\n'.join(lines))


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    args.config = args.config.resolve()
    args.work_dir = (args.work_dir or REPO / 'work_dirs' / args.config.stem).resolve()
    args.data_root = args.data_root and args.data_root.resolve()
    # Relative paths of a config count from the root of the repository.
    os.chdir(REPO)
    steps = Steps(total=4)
    with exit_on_user_error():
        cfg, config = settle_config(args)
        data_root = Path(cfg.data_root)
        with steps.step('data', f'{args.num_train} training and {args.num_val} held-out images'):
            counts = ('--num-train', str(args.num_train), '--num-val', str(args.num_val))
            run_tool('tools/dataset/make_shapes_coco.py', data_root, *counts)
        with steps.step('train', 'eta is the time that is left'):
            checkpoint = train(cfg, config, args.work_dir, (data_root / 'shapes.json').read_text(), args.fresh)
        with steps.step('test', 'on the held-out images; training saw none of their backgrounds'):
            printed = run_tool('tools/test.py', config, checkpoint, '--work-dir', args.work_dir, shown=PROGRESS)
            table = [line for line in printed if COCO_LINE.match(line)]
            if len(table) != 12:
                raise UserError(
                    f'the test printed no COCO table: set test_evaluator of {config} to a CocoMetric of bbox'
                )
        with steps.step('draw', 'detections, and how the stages reach them'):
            pictures = draw_run(cfg, checkpoint, args.work_dir / 'pictures')
        page = args.work_dir / 'report.html'
        to_see = (*pictures, page) if page.is_file() else pictures
        report(steps, table, to_see, config, checkpoint, data_root / 'val')


if __name__ == '__main__':
    # A terminated run takes the tool that it started along, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit('\ninterrupted: the same command goes on from the last checkpoint') from None
