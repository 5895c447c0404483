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
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config


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
    also get the knobs of the files above them.

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
    if copy != origin:
        cfg = Config(dict(cfg.items()), cfg_text=cfg.text, filename=path, env_variables=cfg.env_variables)
    return cfg, found & values.keys()  # not those that a file passed on to its bases


def _rewrite(path: Path, values: dict[str, object], folder: Path, found: set[str]) -> Path:
    """Write a copy with ``values`` into ``folder``, and of the bases too; return ``path`` where nothing changes."""
    if path.suffix != '.py' or not path.is_file():
        return path
    text = path.read_text(encoding='utf-8')
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return path
    if any(isinstance(node, ast.With) for node in tree.body):
        return path  # `with read_base()`: configs in pure Python, which import each other by relative names
    knobs, bases = _find_knobs(tree, text)
    found |= knobs.keys() & values.keys()
    edits = [
        (knob, repr(values[name]))
        for name, knob in knobs.items()
        if name in values and repr(values[name]) != repr(knob.value)
    ]
    if bases is not None:
        assigned = {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        inherited = {name: value for name, value in values.items() if name not in assigned}
        inherited |= {name: values.get(name, knob.value) for name, knob in knobs.items()}
        names = bases.value if isinstance(bases.value, list) else [bases.value]
        origins = [name if '::' in name else str(path.parent / name) for name in names]
        copies = [name if '::' in name else str(_rewrite(Path(name), inherited, folder, found)) for name in origins]
        if edits or copies != origins:
            edits.append((bases, repr(copies)))
    if not edits:
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
    line_starts = [0]
    for line in text.encode().splitlines(keepends=True):
        line_starts.append(line_starts[-1] + len(line))
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


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    # What stands in double braces is filled in by mmengine, file by file.
    return value is None or isinstance(value, (int, float)) or (isinstance(value, str) and '{{' not in value)
