"""Arguments that several tools have. What is imported here keeps --help waiting."""

import re
from argparse import Action, ArgumentError, ArgumentParser, Namespace
from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from sparse_rcnn_ext.errors import UserError

CONFIG_SUFFIXES = ('.py', '.yml', '.yaml', '.json')
LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
_BLANK = '\x00'  # no argument of a program can have it


def end_early(parse_args: Callable[[], Namespace], check: Callable[[Namespace], None] | None = None) -> None:
    """End for --help, wrong arguments, what ``check`` does not let pass, or a config that is not there.

    A tool calls it between its arguments and its other imports, which take seconds.
    """
    with exit_on_user_error():
        args = parse_args()
        if check is not None:
            check(args)
        if isinstance(getattr(args, 'config', None), str):
            check_config_file(args.config)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turn a :class:`UserError` into its sentence on stderr and exit code 1, without a traceback.

    So too what a part of a config raises while it is made from its settings.
    """
    try:
        yield
    except UserError as error:
        raise SystemExit(f'error: {error}') from None
    except Exception as error:
        # Tools that run without mmengine have this module too.
        if find_spec('mmengine') is None:
            raise
        from .build_errors import explain_build_error

        sentence = explain_build_error(error)
        if sentence is None:
            raise
        raise SystemExit(f'error: {sentence}') from error


def check_config_file(path: str) -> None:
    """Raise UserError where ``path`` is no file, or none of a config's endings."""
    if not Path(path).is_file():
        raise UserError(f'no config file {path}: give the path of one, such as those under configs/sparse_rcnn/')
    if Path(path).suffix not in CONFIG_SUFFIXES:
        raise UserError(f'{path} is no config file: give one that ends in {", ".join(CONFIG_SUFFIXES)}')


class OptionAction(Action):
    """mmengine's DictAction, which leaves argparse, and so the user, with a traceback for what is no KEY=VALUE.

    That action takes all blanks out of a value, of ``data_root=/my data/`` too; here they stay. A list or tuple with
    quotes is read as Python reads it, so ``('red, pale', 'blue')`` are two names.

    Raises:
        ArgumentError: For a missing ``=``, an empty part of the key, or brackets that do not match.
    """

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        """Add ``values`` to those before."""
        from mmengine.config import DictAction

        action = DictAction(self.option_strings, self.dest)
        for option in values or ():
            key, equals, value = option.partition('=')
            if not equals or not all(step.strip() for step in key.split('.')):
                raise ArgumentError(self, f'{option!r} is no KEY=VALUE, such as model.rpn_head.num_proposals=50')
            try:
                action(parser, namespace, [f'{key}={_without_blanks(value)}'], option_string)
            except (AssertionError, ValueError, RecursionError) as error:
                reason = _with_blanks(str(error))
                raise ArgumentError(self, f'the value of {option!r} cannot be read: {reason}') from None
            options = getattr(namespace, self.dest)
            options[key] = _as_python(value, _with_blanks(options[key]))


def _without_blanks(value: str) -> str:
    """A value with another character for its blanks; those beside the commas and brackets of a list go."""
    value = value.strip()
    if value.startswith(('(', '[')) or ',' in value:
        value = re.sub(r'(?<=[,(\[])\s+|\s+(?=[,)\]])', '', value)
    return value.replace(' ', _BLANK)


def _with_blanks(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_with_blanks, value))
    return value.replace(_BLANK, ' ') if isinstance(value, str) else value


def _as_python(text: str, otherwise: object) -> object:
    """The list or tuple that ``text`` is in Python, if it has quotes."""
    if any(mark in text for mark in '\'"'):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = literal_eval(text.strip())
            return value if isinstance(value, (list, tuple)) else otherwise
    return otherwise


def add_model(parser: ArgumentParser) -> None:
    """CONFIG and CHECKPOINT."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or its address')


def add_launcher(parser: ArgumentParser) -> None:
    """--launcher, and --local-rank, which ``python -m torch.distributed.launch`` passes."""
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='what started the processes of this job')
    parser.add_argument(
        '--local-rank', '--local_rank', type=int, metavar='N', help='as torch.distributed.launch passes it: LOCAL_RANK'
    )


def add_inference_options(parser: ArgumentParser) -> None:
    """--stages and --tta."""
    parser.add_argument('--stages', type=int, metavar='N', help='stop after so many stages: faster, less exact')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation: fuse several views of each image')


def add_cfg_options(parser: ArgumentParser, example: str, what: str = 'settings that override the config') -> None:
    """--cfg-options; the help ends in an ``example`` of one."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE', help=f'{what}, such as {example}'
    )


def add_trust_option(parser: ArgumentParser) -> None:
    """Add ``--trust-checkpoint`` to a tool; ``open_config`` or ``trust_checkpoints`` obeys it."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load whatever objects the checkpoint holds, which runs code if it wants that: only for one that you '
        'would run as a program',
    )
