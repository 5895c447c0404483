"""Turn the knobs of a config file from outside.

A knob is a plain value at the top of a config, such as ``long_side = 640``, from which the file derives its settings.
mmengine merges an option into the evaluated config, where a knob has done its work: ``long_side=512`` would change that
one variable and nothing that was made of it. Just as silently a child config fails to turn a knob of its base. Here
the files are evaluated with the other values in them.
"""

import ast
import os.path
import re
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError


class Knob(NamedTuple):
    """A value in a config file."""

    value: object
    start: int
    """Where its text begins in the file, in bytes."""
    stop: int
    """Where it ends."""


def load_with_knobs(path: str, values: dict[str, object]) -> tuple[Config, set[str]]:
    """Evaluate a config file with other values of its knobs.

    A name is a knob of a file that assigns it once at the top, None, a number, a text, or tuples and lists of those.
    It gets its new value in ``path``, or, where a file does not assign it at all, in the bases of that file. The bases
    also get the knobs of the files above them, but for those of configs in pure Python, whose bases are as mmengine
    reads them; those that are imported from a package stay as they are.

    Args:
        path: The config file.
        values: By name; names that are no knobs are passed over.

    Returns:
        The config, as if the files read so, with ``path`` as its filename; and the names that were found.
    """
    origin = Path(path).absolute()
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        copy = _rewrite(origin, values, Path(folder), found)
        cfg = Config.fromfile(path if copy == origin else copy)
    if copy != origin and hasattr(cfg, '_imported_names'):
        # In pure Python: a new Config would have for settings what the file imports.
        object.__setattr__(cfg, '_filename', path)
    elif copy != origin:
        cfg = Config(dict(cfg.items()), cfg_text=cfg.text, filename=path, env_variables=cfg.env_variables)
    return cfg, found & values.keys()  # not those that a file passed on to its bases


def _rewrite(path: Path, values: dict[str, object], folder: Path, found: set[str], always: bool = False) -> Path:
    """Write a copy with ``values`` into ``folder``, and of the bases too; return ``path`` where nothing changes.

    With ``always`` there is a copy in any case.
    """
    if path.suffix != '.py' or not path.is_file():
        return path
    text = path.read_text(encoding='utf-8')
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return path
    if '__file__' in text:
        return path  # a copy would have another place
    knobs, bases = _find_knobs(tree, text)
    found |= knobs.keys() & values.keys()
    edits = [
        (knob, repr(values[name]))
        for name, knob in knobs.items()
        if name in values and repr(values[name]) != repr(knob.value)
    ]
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if bases is not None:
        inherited = {name: value for name, value in values.items() if name not in assigned}
        inherited |= {name: values.get(name, knob.value) for name, knob in knobs.items()}
        names = bases.value if isinstance(bases.value, list) else [bases.value]
        origins = [name if '::' in name else str(path.parent / name) for name in names]
        copies = [name if '::' in name else str(_rewrite(Path(name), inherited, folder, found)) for name in origins]
        if edits or copies != origins:
            edits.append((bases, repr(copies)))
    if always or any('.' not in name for name in values):
        given = {name: value for name, value in values.items() if name in knobs or name not in assigned}
        for module, base in _read_bases(tree, text, path.parent):
            copy = _rewrite(base, given, folder, found, always=True)
            edits.append((module, f'..{copy.parent.name}.{copy.stem}'))
    if not edits and not always:
        return path
    content = text.encode()
    for knob, new in sorted(edits, key=lambda edit: edit[0].start, reverse=True):
        content = content[: knob.start] + new.encode() + content[knob.stop :]
    # mmengine would put the folder of the copy there.
    own_folder = os.path.abspath(path.parent)  # noqa: PTH100  (resolve() follows links)
    text = re.sub(r'\{\{\s*fileDirname\s*\}\}', lambda _: own_folder, content.decode())
    copy = Path(tempfile.mkdtemp(dir=folder), path.name)
    copy.write_text(text, encoding='utf-8')
    return copy


def _find_knobs(tree: ast.Module, text: str) -> tuple[dict[str, Knob], Knob | None]:
    """The knobs by name, and ``_base_``."""
    found: dict[str, list[Knob]] = {}
    line_starts = _line_starts(text)
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                value = ast.literal_eval(node.value)
            except (ValueError, TypeError):
                value = ...  # a call, an expression
            start = line_starts[node.value.lineno - 1] + node.value.col_offset
            stop = line_starts[node.value.end_lineno - 1] + node.value.end_col_offset
            found.setdefault(node.targets[0].id, []).append(Knob(value, start, stop))
    knobs = {name: places[0] for name, places in found.items() if len(places) == 1 and _is_plain(places[0].value)}
    if '_base_' in found and '_base_' not in knobs:
        return {}, None  # computed: a copy of the file would not find it
    return knobs, knobs.pop('_base_', None)


def _read_bases(tree: ast.Module, text: str, folder: Path) -> Iterator[tuple[Knob, Path]]:
    """The module names after ``with read_base():`` that are relative, and the files that they stand for."""
    content, line_starts = text.encode(), _line_starts(text)
    for block in tree.body:
        for node in block.body if isinstance(block, ast.With) else ():
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                base = folder.joinpath(*['..'] * (node.level - 1), f'{node.module.replace(".", "/")}.py')
                match = re.compile(rb'from\s+([.\w]+)').match(content, line_starts[node.lineno - 1] + node.col_offset)
                if match and base.is_file():
                    yield Knob(node.module, *match.span(1)), base


def _line_starts(text: str) -> list[int]:
    """Where each line begins, in bytes."""
    return [0, *accumulate(len(line) for line in text.encode().splitlines(keepends=True))]


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    # What stands in double braces is filled in by mmengine, file by file.
    return value is None or isinstance(value, (int, float)) or (isinstance(value, str) and '{{' not in value)


def check_whole(minimum: int, **settings: object) -> None:
    """Raise UserError unless every setting is an int of at least ``minimum``."""
    for name, value in settings.items():
        if type(value) is not int or value < minimum:
            raise UserError(f'{name} is {value!r}: set it to a whole number of at least {minimum}')


def check_rate(**settings: object) -> None:
    """Raise UserError unless every setting is a number above 0 and at most 1."""
    for name, value in settings.items():
        if not _is_number(value) or not 0 < value <= 1:
            raise UserError(f'{name} is {value!r}: set it to a number above 0 and at most 1, such as 2.5e-5')


def check_weights(length: int, **settings: object) -> None:
    """Raise UserError unless every setting is a tuple or list of ``length`` numbers of at least 0."""
    for name, value in settings.items():
        fits = isinstance(value, (tuple, list)) and len(value) == length
        if not fits or not all(_is_number(weight) and weight >= 0 for weight in value):
            raise UserError(f'{name} is {value!r}: set it to {length} numbers of at least 0')


def check_choice(choices: tuple, **settings: object) -> None:
    """Raise UserError unless every setting is one of ``choices``, and of its type: 1 is not True."""
    for name, value in settings.items():
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            *others, last = map(repr, choices)
            raise UserError(f'{name} is {value!r}: set it to {", ".join(others)} or {last}')


def _is_number(value: object) -> bool:
    # NaN is below and above nothing, so that a comparison finds it.
    return type(value) in (int, float) and abs(value) < float('inf')
