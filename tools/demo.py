"""Show a detector at work on a web page: tools/demo.py CONFIG CHECKPOINT [options].

Drop an image; sliders choose the least score, and the stage, from the proposals to the detections.
"""

import argparse
import os
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparse_rcnn_ext.engine.config.arguments import (
    add_cfg_options,
    add_model,
    add_trust_option,
    end_early,
    exit_on_user_error,
)
from sparse_rcnn_ext.errors import UserError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model(parser)
    parser.add_argument('--port', type=int, default=7860, metavar='N', help='of 127.0.0.1 (default: 7860)')
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: the GPU if there is one)')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='S', help='the least score at first')
    parser.add_argument('--stages', type=int, metavar='N', help='run only so many stages')
    parser.add_argument('--max-mb', type=int, default=20, metavar='N', help='of an upload, at most (default: 20)')
    parser.add_argument(
        '--max-megapixels', type=float, default=40, metavar='N', help='of an image, at most, in millions (default: 40)'
    )
    add_trust_option(parser)
    add_cfg_options(parser, 'model.test_cfg.max_per_img=300')
    return parser.parse_args(argv)


def check_options(args: argparse.Namespace) -> None:
    """Raise UserError for a value that makes no sense."""
    if not 0 <= args.score_thr <= 1:
        raise UserError(f'--score-thr is {args.score_thr}: give a number from 0 to 1')
    if not 1 <= args.port <= 65535:
        raise UserError(f'--port is {args.port}: give a number from 1 to 65535')
    for name, value in (('--max-mb', args.max_mb), ('--max-megapixels', args.max_megapixels)):
        if not value > 0:
            raise UserError(f'{name} is {value}: give more than 0')


if __name__ == '__main__':
    end_early(parse_args, check_options)

from sparse_rcnn_ext.engine.config.opening import open_config
from sparse_rcnn_ext.engine.config.run_config import stop_early
from sparse_rcnn_ext.prediction import Predictor


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        check_options(args)
        # gradio asks for this when it is imported.
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
        try:
            from sparse_rcnn_ext.demo import require_stages, server
        except ModuleNotFoundError as error:
            raise UserError(f'the page needs gradio ({error}): pip install -r requirements/demo.txt') from error
        server.check_port(args.port)
        cfg = open_config(args)
        if args.stages is not None:
            stop_early(cfg, args.stages)
        predictor = Predictor(cfg, args.checkpoint, args.device)
        require_stages(predictor)
        max_pixels = round(args.max_megapixels * 1e6)
        server.serve(predictor, Path(args.config).stem, args.port, args.score_thr, args.max_mb, max_pixels)


if __name__ == '__main__':
    main()
