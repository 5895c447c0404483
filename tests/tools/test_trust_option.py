"""Every tool that reads a checkpoint has --trust-checkpoint, and obeys it."""

import re
from pathlib import Path

import pytest

_READS = re.compile(r"add_model\(|add_argument\(\s*'(checkpoint|--checkpoint|--resume)'|read_weights(_and_meta)?\(")


def tools_with_checkpoints(repo_dir: Path) -> list[Path]:
    """The tools that open one."""
    return [path for path in (repo_dir / 'tools').rglob('*.py') if _READS.search(path.read_text())]


def test_trust_checkpoint(repo_dir):
    found = tools_with_checkpoints(repo_dir)
    names = {path.name for path in found}
    assert {'train.py', 'test.py', 'predict.py', 'demo.py', 'export.py', 'publish.py', 'official_to_mmdet.py'} <= names
    for path in found:
        source = path.read_text()
        obeys = 'trust_checkpoints(args.trust_checkpoint)' in source or 'open_config(args)' in source
        if 'add_trust_option(parser)' not in source or not obeys:
            pytest.fail(f'{path.name} has no --trust-checkpoint')
