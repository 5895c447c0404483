"""Train and test the rows of a table: tools/ablate.py TABLE [options]; TABLE is one of tables.yml.

Writes TABLE.md, TABLE.json and TABLE.png after every run, with --val-interval TABLE_curves.png too. The same command
goes on where it stopped: finished runs are kept as long as their settings are the same, also from one table to the
next, and a half-trained one is resumed.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch_command import TOOLS, Launch

from sparse_rcnn_ext.engine.config.arguments import LAUNCHERS, OptionAction, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError

CONFIGS = TOOLS.parent / 'configs/sparse_rcnn'
QUICKSTART = CONFIGS / 'sparse-rcnn_lite0_fpn_shapes.py'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', metavar='TABLE', help='such as components or stages; a wrong name lists all')
    parser.add_argument(
        '--data',
        metavar='quickstart|CONFIG',
        help='the recipe that the rows change: the quickstart, whose data are made, or any other (default: their own)',
    )
    parser.add_argument('--seeds', type=int, default=1, metavar='N', help='seeds 0 to N - 1 for each row (default: 1)')
    parser.add_argument('--epochs', type=int, metavar='N', help="length of each training (default: the recipe's)")
    parser.add_argument(
        '--val-interval',
        type=int,
        metavar='N',
        help='validate every N epochs and draw AP over the time of training (default: only test at the end)',
    )
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='what starts several processes')
    parser.add_argument('--processes', type=int, metavar='N', help='of a launcher (default: the GPUs of this machine)')
    parser.add_argument('--partition', help='of Slurm')
    parser.add_argument(
        '--out', type=Path, metavar='FOLDER', help='default: work_dirs/ablations/quickstart or …/CONFIG_NAME'
    )
    parser.add_argument(
        '--tables', type=Path, default=CONFIGS / 'ablations/tables.yml', metavar='FILE', help='another file of tables'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='settings that override the recipe, before a row changes it',
    )
    args = parser.parse_args(argv)
    for name in ('seeds', 'epochs', 'val_interval', 'processes'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    if (args.launcher == 'slurm') != (args.partition is not None):
        parser.error('--launcher slurm and --partition go together')
    if args.launcher == 'none' and args.processes:
        parser.error('--processes needs a --launcher')
    return args


if __name__ == '__main__':
    end_early(parse_args)

import torch
from mmengine.config import Config
from row_runs import RowRuns, RunError
from run_progress import RunProgress

from sparse_rcnn_ext.ablation import (
    Experiment,
    Outcome,
    Table,
    as_json,
    base_of,
    draw_chart,
    draw_curves,
    duration,
    find_table,
    fingerprint,
    load_base,
    put_over,
    training_length,
    write_json,
    write_markdown,
)
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.engine.config.pretrained import check_pretrained


def find_recipe(args: argparse.Namespace, table: Table) -> Path:
    """The config that all rows change.

    Raises:
        UserError: If the rows name several.
    """
    if args.data == 'quickstart':
        return QUICKSTART
    if args.data:
        return Path(args.data)
    recipes = {base_of(row.config).resolve() for row in table.rows}
    if len(recipes) > 1:
        raise UserError(f'the rows of {table.name} have several recipes as _base_: name one with --data')
    return recipes.pop()


def make_data(cfg: Config) -> str:
    """Make the data of the quickstart, unless they are there; return what identifies them.

    Raises:
        UserError: If that fails.
    """
    stamp = Path(cfg.data_root, 'shapes.json')
    if not stamp.is_file() or '"finished": true' not in stamp.read_text():
        command = [sys.executable, str(TOOLS / 'dataset/make_shapes_coco.py'), cfg.data_root]
        if subprocess.run(command, check=False).returncode:
            raise UserError(f'"python {" ".join(command[1:])}" failed: see its message above')
    return stamp.read_text()


def plan(args: argparse.Namespace, table: Table, base: Config, out: Path, data: str) -> list[tuple[RowRuns, bool]]:
    """The runs of each row, and whether the row is the recipe.

    Rows with the same settings share their runs, and share them with other tables in ``out``.

    Raises:
        UserError: If a row does not fit the recipe.
    """
    launch = Launch(args.launcher, args.processes or max(1, torch.cuda.device_count()), args.partition)
    workers = 1 if args.launcher == 'none' else launch.processes
    folders: dict[str, Path] = {}
    rows = []
    with TemporaryDirectory() as temporary:
        recipe = Path(temporary, 'recipe.py')
        base.dump(recipe)
        unchanged = fingerprint(Config.fromfile(recipe), data, workers)
        for row in table.rows:
            cfg = put_over(row.config, recipe)
            key = fingerprint(cfg, data, workers)
            there = next(out.glob(f'runs/*_{key}'), out / 'runs' / f'{row.config.stem}_{key}')
            runs = RowRuns(cfg, folders.setdefault(key, there), launch)
            rows.append((runs, key == unchanged or (row.default and not args.data)))
    return rows


def relative(path: Path) -> str:
    """``path`` as seen from the root of the repository or the current folder, where it is inside."""
    for root in (TOOLS.parent, Path.cwd()):
        if path.resolve().is_relative_to(root):
            return str(path.resolve().relative_to(root))
    return str(path)


def write_reports(experiment: Experiment, outcomes: list[Outcome], out: Path) -> str:
    """Write the files of a table; return the Markdown."""
    text = write_markdown(experiment, outcomes)
    name = experiment.table.name
    (out / f'{name}.md').write_text(text, encoding='utf-8')
    write_json(out / f'{name}.json', as_json(experiment, outcomes))
    draw_chart(experiment, outcomes, out / f'{name}.png')
    draw_curves(experiment, outcomes, out / f'{name}_curves.png')
    return text


def measure(outcomes: list[Outcome], rows: list[RowRuns], progress: RunProgress) -> None:
    """Fill in what the rows cost. That builds every model, so it finds most mistakes before anything is trained."""
    for number, (outcome, runs) in enumerate(zip(outcomes, rows)):
        progress.start(f'{outcome.row.name}: cost')
        try:
            runs.prepare()
            outcomes[number] = outcome._replace(cost=runs.measure())
        except RunError as error:
            outcome.failures.append(f'tools/analysis/flops.py: {error}')
            progress.say(f'{outcome.row.name}: failed, and is not trained; {error}')


def train_and_test(outcome: Outcome, runs: RowRuns, seed: int, progress: RunProgress) -> bool:
    """Add the result of one seed, or a failure; return whether anything was run for it."""
    name = f'{outcome.row.name}, seed {seed}'
    progress.start(name)
    known = runs.result(seed)
    if known or outcome.cost is None:
        progress.skip()
        if known:
            outcome.results.append(known)
            progress.say(f'{name}: AP {known.ap:.1f}, known already')
        return False
    try:
        result = runs.train_and_test(seed, progress.see)
        outcome.results.append(result)
        progress.say(f'{name}: AP {result.ap:.1f} after {duration(result.training_seconds)} of training')
    except RunError as error:
        outcome.failures.append(f'seed {seed}: {error}')
        progress.say(f'{name}: failed, the others go on; {error}')
    progress.finish()
    return True


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        table = find_table(args.tables, args.table)
        recipe = find_recipe(args, table)
        base = load_base(recipe, args.cfg_options, args.epochs, args.val_interval)
        data = make_data(base) if args.data == 'quickstart' else ''
        check_data_paths(base, ('train', 'val', 'test'))
        check_pretrained(base)
        out = args.out or Path('work_dirs/ablations', 'quickstart' if args.data == 'quickstart' else recipe.stem)
        rows, unchanged = zip(*plan(args, table, base, out, data))
    seeds = list(range(args.seeds))
    experiment = Experiment(table, relative(recipe), bool(args.data), training_length(base), seeds)
    outcomes = [Outcome(row, is_base, [], None, []) for row, is_base in zip(table.rows, unchanged)]
    progress = RunProgress(len(rows) * len(seeds), base.train_cfg.get('max_epochs'))
    progress.say(f'{table.title}: {len(rows)} rows, seeds {seeds}, {experiment.length} each; all in {out}')
    measure(outcomes, rows, progress)
    progress.restart()
    # All rows with one seed, then with the next: an interrupted table is level.
    for seed in seeds:
        for outcome, runs in zip(outcomes, rows):
            if train_and_test(outcome, runs, seed, progress):
                write_reports(experiment, outcomes, out)
    progress.close()
    print('', write_reports(experiment, outcomes, out), sep='\n')
    print('\n'.join(f'{out / table.name}{ending}' for ending in ('.md', '.json', '.png')))
    failed = [outcome.row.name for outcome in outcomes if outcome.failures]
    if failed:
        raise SystemExit(f'error: {len(failed)} of {len(outcomes)} rows failed ({", ".join(failed)}): see above')


if __name__ == '__main__':
    # A terminated run takes the tool that it started along, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit('\ninterrupted: the same command goes on where it stopped') from None
