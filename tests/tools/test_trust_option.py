"""Every tool that reads a checkpoint has --trust-checkpoint, and obeys it."""

import re

import pytest


def reads_a_checkpoint(source: str) -> bool:
    return bool(re.search(r"add_model\(|add_argument\('checkpoint'|add_argument\(\s*'--resume'|read_weights\(", source))


def test_trust_checkpoint(repo_dir):
    found = [path for path in (repo_dir / 'tools').rglob('*.py') if reads_a_checkpoint(path.read_text())]
    names = {path.name for path in found}
    assert {'train.py', 'test.py', 'predict.py', 'demo.py', 'export.py', 'publish.py', 'official_to_mmdet.py'} <= names
    for path in found:
        source = path.read_text()
        if 'add_trust_option(parser)' not in source or 'trust_checkpoints(args.trust_checkpoint)' not in source:
            pytest.fail(f'{path.name} has no --trust-checkpoint')
