"""One exported file in many runtimes, beside onnxruntime: tools/analysis/runtimes.py FILE.onnx IMAGES [options].

Each runtime is installed by pip or npm into an environment of its own, runs the file on images, and is compared and
timed. Prints a table. What reads another format takes the file of the same name beside FILE: .xml, .torchscript or
.tflite.
"""

import argparse
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.arguments import end_early, exit_on_user_error
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export import require_packages
from sparse_rcnn_ext.export.runtime_table.kinds import BASE, RUNTIMES


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', type=Path, metavar='FILE.onnx', help='of tools/deploy/export.py, without --dynamic')
    parser.add_argument('images', metavar='IMAGES', help='a folder of images, or one')
    usual = [name for name, runtime in RUNTIMES.items() if not runtime.is_slow]
    rest = [name for name in RUNTIMES if name not in usual]
    parser.add_argument(
        '--runtimes',
        nargs='+',
        choices=RUNTIMES,
        default=usual,
        metavar='NAME',
        help=f'{", ".join(usual)} (default: all these); and {", ".join(rest)}, which takes very long',
    )
    parser.add_argument('--count', type=int, default=10, metavar='N', help='images (default: 10)')
    parser.add_argument('--rounds', type=int, default=20, metavar='N', help='measurements, three times (default: 20)')
    parser.add_argument('--threads', type=int, default=2, metavar='N', help='of each on the CPU (default: 2)')
    parser.add_argument(
        '--folder', type=Path, default=Path('work_dirs/runtimes'), help='for environments, kept for the next time'
    )
    args = parser.parse_args(argv)
    for name, value in (('--count', args.count), ('--rounds', args.rounds), ('--threads', args.threads)):
        if value < 1:
            parser.error(f'{name} must be at least 1')
    return args


if __name__ == '__main__':
    end_early(parse_args)

from sparse_rcnn_ext.export.runtime_table.table import measure, write_markdown
from sparse_rcnn_ext.prediction.image_file import UnreadableError, read_image
from sparse_rcnn_ext.prediction.sources import find_sources


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        require_packages(['onnxruntime'])
        if args.file.suffix != '.onnx' or not args.file.is_file():
            raise UserError(f'{args.file} is no .onnx file: give one of tools/deploy/export.py')
        sources, problems = find_sources([args.images])
        paths = [source.path for source in sources if not source.is_video][: args.count]
        if not paths:
            raise UserError(problems[0] if problems else f'{args.images} has no images')
        try:
            images = [read_image(Path(path))[..., ::-1] for path in paths]
        except UnreadableError as error:
            raise UserError(f'an image of {args.images} cannot be read ({error}): take it out') from error
        runtimes = {name: RUNTIMES[name] for name in dict.fromkeys([BASE, *args.runtimes])}
        try:
            rows = measure(args.file, images, runtimes, args.folder, args.threads, args.rounds)
        except ValueError as error:
            raise UserError(str(error)) from error
        print(write_markdown(rows), end='')


if __name__ == '__main__':
    main()
