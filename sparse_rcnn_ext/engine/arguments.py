"""Arguments that several tools have."""

from argparse import ArgumentParser

from .option_action import OptionAction


def add_model(parser: ArgumentParser) -> None:
    """CONFIG and CHECKPOINT."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or its address')


def add_inference_options(parser: ArgumentParser) -> None:
    """--stages and --tta."""
    parser.add_argument('--stages', type=int, metavar='N', help='stop after so many stages: faster, less exact')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation: fuse several views of each image')


def add_cfg_options(parser: ArgumentParser, example: str, what: str = 'settings that override the config') -> None:
    """--cfg-options; the help ends in an ``example`` of one."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE', help=f'{what}, such as {example}'
    )
