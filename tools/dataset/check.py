"""Check a config's data sets before training: tools/dataset/check.py CONFIG [options].

Counts images and boxes, what is kept and what is dropped and why, and looks into every image file. The tables are
printed; they lie in OUT/check.json too, and OUT/check.png shows them. The exit code is 1 if something would break
training, else 0.
"""

import argparse
import json
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.datasets.own_files import SPLITS
from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, end_early, exit_on_user_error


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', nargs='+', choices=SPLITS, default=list(SPLITS), help='which splits (default: all)')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='default: work_dirs/CONFIG_NAME/check')
    parser.add_argument(
        '--threads', type=int, metavar='N', help='that read the images (default: one a core, at most 16)'
    )
    add_cfg_options(parser, 'train_dataloader.dataset.data_root=data/mine/')
    args = parser.parse_args(argv)
    if args.threads is not None and args.threads < 1:
        parser.error('--threads must be at least 1')
    return args


if __name__ == '__main__':
    end_early(parse_args)

from mmengine.registry import init_default_scope

from sparse_rcnn_ext.datasets.check import check_datasets, default_threads, draw_check, summarise, write_report
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import check_data_paths


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    splits = tuple(split for split in SPLITS if split in args.split)
    with exit_on_user_error():
        cfg = open_config(args)
        init_default_scope(scope_of(cfg))
        check_data_paths(cfg, splits)
        result = check_datasets(cfg, splits, args.threads or default_threads())
    out = args.out or Path(cfg.work_dir, 'check')
    out.mkdir(parents=True, exist_ok=True)
    facts, picture = out / 'check.json', out / 'check.png'
    facts.write_text(json.dumps(summarise(result), indent=1, ensure_ascii=False), encoding='utf-8')
    draw_check(result, f'Data of {args.config}', picture)
    # The first fix is the last line.
    print(f'All numbers: {facts}\nPicture: {picture}\n\n{write_report(result)}')
    raise SystemExit(int(result.failed))


if __name__ == '__main__':
    main()
