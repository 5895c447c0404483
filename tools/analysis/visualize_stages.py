"""Draw how the stages move the proposals: tools/analysis/visualize_stages.py CONFIG CHECKPOINT IMAGE…

One picture an image: the proposals, and where each stage has put them. The most confident keep their colour.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, add_trust_option, end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a Sparse R-CNN')
    parser.add_argument('checkpoint', help='checkpoint file or its address')
    parser.add_argument('images', nargs='+', type=Path, metavar='IMAGE', help='image files')
    parser.add_argument('--out', type=Path, metavar='DIR', help="folder of the pictures (default: stages in the run's)")
    parser.add_argument(
        '--score-thr', type=float, default=0.3, metavar='S', help='least score to follow (default: 0.3)'
    )
    parser.add_argument('--side', type=int, default=380, metavar='N', help='pixels of a panel (default: 380)')
    add_trust_option(parser)
    add_cfg_options(parser, 'model.test_cfg.num_stages=3')
    return parser.parse_args(argv)


if __name__ == '__main__':
    end_early(parse_args)

import numpy as np
from mmengine.structures import InstanceData

from sparse_rcnn_ext.engine.config.config_parts import part_name
from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction.image_file import UnreadableError
from sparse_rcnn_ext.prediction.predictor import Predictor
from sparse_rcnn_ext.visualization.examples import Example
from sparse_rcnn_ext.visualization.stages import draw_trace, trace_stages


def name_pictures(images: list[Path], folder: Path) -> list[Path]:
    """A PNG in ``folder`` for each image; images of the same name in several folders get numbers."""
    names: list[str] = []
    for image in images:
        candidates = [image.stem, *(f'{image.stem}-{number}' for number in range(2, len(images) + 1))]
        names.append(next(name for name in candidates if name not in names))
    return [folder / f'{name}.png' for name in names]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        if args.side < 64:
            raise UserError(f'--side is {args.side}: give at least 64')
        cfg = open_config(args)
        predictor = Predictor(cfg, args.checkpoint)
        if not isinstance(predictor.model, SparseRCNN):
            kind = part_name(cfg.model)
            raise UserError(f'{args.config} is a {kind}: stages are those of a sparse_rcnn_ext.SparseRCNN')
        folder = args.out or Path(cfg.work_dir, 'stages')
        make_folder(folder, '--out')
        for path, out in zip(args.images, name_pictures(args.images, folder)):
            try:
                loaded = predictor.read(path)
            except UnreadableError as error:
                raise UserError(f'{path} cannot be read ({error}): give image files') from error
            image = np.ascontiguousarray(loaded.picture[..., ::-1])
            example = Example(image, InstanceData(), path.name, predictor.pack([loaded]))
            trace = trace_stages(predictor.model, example)
            if not trace.boxes.isfinite().all():
                raise UserError(f'{args.checkpoint} puts boxes nowhere in {path} (NaN): give one that did not diverge')
            draw_trace(trace, image, predictor.classes, out, score_thr=args.score_thr, panel_side=args.side)
            print(f'Wrote {out}')


if __name__ == '__main__':
    main()
