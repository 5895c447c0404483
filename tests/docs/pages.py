"""The shell commands of the documentation, as a shell understands them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGES = ('README.md', 'configs/sparse_rcnn/README.md', 'docs/*.md')
SHELL_LANGUAGES = ('bash', 'console', 'sh', 'shell')
OTHER_LANGUAGES = ('python', 'javascript', 'json', 'yaml', 'bibtex', 'text')
FENCE = re.compile(r'^\s*```(\S*)\s*$')
INDENTED = re.compile(r'^(?: {4}|\t)\s*((?:\$ )?(?:python|pip|make|docker|git|pytest|tools/)\b.*)$')
INLINE = re.compile(r'`(?:python )?(tools/\S+\.(?:py|sh))((?: [^`]*)?)`')

# In an empty PATH every program is one that bash cannot find. Scripts of ours are named by their path: they are files.
RECORDER = r"""
record() {
    local name
    for name in $(compgen -e); do printf '%s=%s\0' "$name" "${!name}"; done
    printf '%s\0' -- "$@" ''
}
"""
PROLOGUE = f'{RECORDER}\ncommand_not_found_handle() {{ record "$@"; }}\nsource() {{ record source "$@"; }}\n'
SET_BY_BASH = {'PWD', 'OLDPWD', 'SHLVL', '_', 'LC_ALL', 'PATH'}


class Block(NamedTuple):
    """Shell commands that stand together."""

    page: str
    line: int
    """Of the page, from 1."""
    text: str


class Command(NamedTuple):
    """A program with its arguments, all of the shell's expansions done."""

    page: str
    line: int
    """That of its block, from 1."""
    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    """What it finds in its environment, beside what was there before."""

    @property
    def place(self) -> str:
        return f'{self.page}:{self.line}'


def find_pages(repo: Path) -> list[Path]:
    return [path for pattern in PAGES for path in sorted(repo.glob(pattern))]


def read_blocks(page: str, text: str) -> Iterator[Block]:
    """The blocks of shell commands of a page: fenced ones, and indented lines that begin with a program.

    Raises:
        ValueError: If a fence has a language that is neither a shell's nor known to be something else.
    """
    language, first, lines = None, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if language is not None and fence and not fence[1]:
            if language in SHELL_LANGUAGES:
                yield Block(page, first, '\n'.join(_typed(lines, language)))
            language = None
        elif language is not None:
            lines.append(line)
            if not language and INDENTED.match(f'    {line}'):
                raise ValueError(f'{page}:{number}: a command in a fence without a language: write ```bash')
        elif fence:
            language, first, lines = fence[1], number, []
            if language and language not in SHELL_LANGUAGES + OTHER_LANGUAGES:
                raise ValueError(f'{page}:{number}: ```{language} is none of {SHELL_LANGUAGES + OTHER_LANGUAGES}')
        elif found := INDENTED.match(line):
            yield Block(page, number, found[1].removeprefix('$ '))


def _typed(lines: list[str], language: str) -> list[str]:
    """What one types; the rest of a console's block is output."""
    return [line.removeprefix('$ ') for line in lines if line.startswith('$ ')] if language == 'console' else lines


def read_commands(block: Block, folder: Path) -> list[Command]:
    """What bash would run for ``block``; nothing is run.

    Args:
        block: The commands.
        folder: An empty folder; it gets stand-ins for our scripts.

    Raises:
        ValueError: If bash takes offence at the block.
    """
    bash = shutil.which('bash')
    for name in set(re.findall(r'tools/\w+\.sh', block.text)):
        script = folder / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!{bash}\n{RECORDER}\nrecord {name} "$@"\n')
        script.chmod(0o755)
    done = subprocess.run(
        [bash, '-c', f'{PROLOGUE}\n{block.text}'],
        cwd=folder,
        env={'LC_ALL': 'C.UTF-8', 'PATH': '/nowhere'},
        capture_output=True,
        text=True,
        timeout=30,
    )
    if done.returncode or done.stderr:
        raise ValueError(f'{block.page}:{block.line}: bash says {done.stderr!r} ({done.returncode})')
    commands = []
    for record in done.stdout.split('\0\0')[:-1]:
        environment, _, words = f'{record}\0'.partition('--\0')
        pairs = [entry.partition('=')[::2] for entry in environment.split('\0')[:-1]]
        variables = tuple(sorted((name, value) for name, value in pairs if name not in SET_BY_BASH))
        commands.append(Command(block.page, block.line, tuple(words.split('\0')[:-1]), variables))
    return commands


def read_mentions(text: str) -> list[tuple[str, list[str]]]:
    """Tools that are named inside the text of a page, and the options that are named with them."""
    mentions = [(match[1], re.findall(r'(?<!\S)--[a-z][a-z-]*', match[2])) for match in INLINE.finditer(text)]
    return [(tool, options) for tool, options in mentions if options]
