"""The commands of all pages."""

from pathlib import Path

import pytest

from tests.docs.pages import Command, find_pages, read_blocks, read_commands


@pytest.fixture(scope='session')
def documented(tmp_path_factory, repo_dir: Path) -> list[Command]:
    """Each command once, with the first place where it stands."""
    found = {}
    for path in find_pages(repo_dir):
        page = str(path.relative_to(repo_dir))
        for block in read_blocks(page, path.read_text(encoding='utf-8')):
            for command in read_commands(block, tmp_path_factory.mktemp('shell')):
                found.setdefault((command.words, command.variables), command)
    assert len(found) > 50
    return list(found.values())
