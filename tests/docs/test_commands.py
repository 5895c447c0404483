"""Every shell command of the documentation does what its page says: it is run here, or by a test that is named."""

import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.docs.other_tests import READS_THE_PAGE, RUNS_IT, strings_of
from tests.docs.pages import Command, find_pages, read_mentions
from tests.docs.small_place import COCO, make_place

REPO = Path(__file__).resolve().parents[2]

# What stands for something in the pages, and what is typed in its place here.
TYPED_FOR = {'CONFIG': f'configs/sparse_rcnn/{COCO}.py', 'INPUT…': 'photos', '[options]': '--score-thr=0.5'}

# What is typed after a command that would take long.
SHORTER = {
    'python tools/analysis/mmdet_tool.py coco_error_analysis detections.json curves --ann '
    'data/coco/annotations/instances_val2017.json --types bbox': ['--ann', 'two_classes.json'],
    'python tools/analysis/pipeline_speed.py configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py '
    '--against plain --cfg-options data_root=COCO': ['debug=3', '--images=2', '--seconds=0'],
    'python tools/train.py configs/sparse_rcnn/sparse-rcnn_lite0_fpn_bccd.py --seed 0': [
        '--cfg-options',
        'max_epochs=1',
    ],
    'python tools/analysis/stage_dial.py configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py '
    'work_dirs/sparse-rcnn_lite0_fpn_shapes/epoch_12.pth --threads 2': ['--rounds=1', '--threads=1'],
}
# Not tools of ours: each kind has a test in test_other_commands.py.
OTHER_PROGRAMS = ('make', 'pip', 'source', 'docker', 'npm', 'node', 'ovms')

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    return make_place(tmp_path_factory.mktemp('docs'), REPO)


@pytest.fixture(scope='module')
def run(run_process, place) -> Run:
    """``run(tool, arguments, call=None)``: the exit code and what was printed."""
    return partial(run_process, cwd=place)


@pytest.fixture(scope='module')
def prepared(run, place) -> None:
    """work_dirs/RUN of the pages, a training with validation, after which other runs are named too; data/shapes."""
    folder = place / 'work_dirs/RUN'
    # Without a seed, some networks of random weights find nothing at all, and then no AP is in the log.
    code, printed = run('tools/train.py', [TYPED_FOR['CONFIG'], '--seed=0', '--work-dir', str(folder)])
    assert code == 0, printed
    (log,) = folder.glob('*/vis_data')
    (folder / 'TIME').symlink_to(log.parent)
    for name in ('A', 'B'):
        folder.with_name(name).symlink_to(folder)
    (folder / 'epoch_8.pth').symlink_to(folder / 'epoch_1.pth')
    # A page trains before it tests; the 50 epochs are one here.
    own = place / 'work_dirs/sparse-rcnn_r50_fpn_own-data'
    own.mkdir()
    (own / 'epoch_50.pth').symlink_to('epoch_1.pth')
    code, printed = run('tools/dataset/make_shapes_coco.py', ['data/shapes', '--num-train=2', '--num-val=2'])
    assert code == 0, printed


def is_tool(command: Command) -> bool:
    return command.words[0] == 'python' and command.words[1].startswith('tools/')


def is_example(command: Command) -> bool:
    """Of those of Python; test_other_commands.py has a test of them."""
    return command.words[0] == 'python' and command.words[1].startswith('examples/')


def test_every_command_is_run(documented):
    """No command is of a kind that nothing here looks at, and no entry of the lists is out of date."""
    typed = {shlex.join(command.words) for command in documented}
    unknown = [
        command
        for command in documented
        if not (is_tool(command) or is_example(command) or command.words[0] in OTHER_PROGRAMS)
        and shlex.join(command.words) not in RUNS_IT
    ]
    assert not unknown
    assert set(RUNS_IT) | set(SHORTER) <= typed
    assert not set(RUNS_IT) & set(SHORTER)
    assert set(TYPED_FOR) <= {word for command in documented for word in command.words}


def test_tools(documented, run, prepared):
    """Each is run as it stands, in a folder that has in small what it names."""
    failures, outputs = [], {}
    for command in documented:
        typed = shlex.join(command.words)
        if not is_tool(command) or typed in RUNS_IT or command.page in READS_THE_PAGE:
            continue
        tool, *arguments = [TYPED_FOR.get(word, word) for word in command.words[1:]]
        code, printed = run(tool, [*arguments, *SHORTER.get(typed, [])])
        outputs.setdefault(command.page, []).append(printed)
        if code:
            failures.append(f'{command.place} {typed}\n{printed[-1500:]}')
    assert not failures, '\n'.join(failures)
    assert sum(map(len, outputs.values())) > 30
    for page in ('docs/training.md', 'docs/own-data.md'):
        for block in re.findall(r'```text\n(.*?)```', (REPO / page).read_text(encoding='utf-8'), re.DOTALL):
            for part in block.strip().split('…'):
                assert any(part.strip() in printed for printed in outputs[page]), f'{page}: no command prints {part!r}'


def test_what_a_run_writes(prepared, place):
    """The table of docs/training.md."""
    rows = re.findall(
        r'^\| (`.+?) \|', (REPO / 'docs/training.md').read_text().partition('## Going on')[0], re.MULTILINE
    )
    names = [name for row in rows for name in re.findall('`(.+?)`', row)]
    written = {'CONFIG_NAME.py': f'{COCO}.py', 'epoch_N.pth': 'epoch_1.pth', 'TIME/TIME.log': 'TIME/*.log'}
    # These two have tests of their own: they need an option, and the report that is off here.
    elsewhere = {'best_….pth', 'report.html', 'report/'}
    assert elsewhere < set(names) and len(names) == 8
    for name in names:
        if name not in elsewhere:
            assert list((place / 'work_dirs/RUN').glob(written.get(name, name))), name


def test_commands_of_other_tests(documented, run):
    """Their tests exist, use the tool and each of the options, and the tool takes the whole command."""
    failures = []
    for command in documented:
        tests = RUNS_IT.get(shlex.join(command.words))
        if not tests:
            continue
        tool, *arguments = [word for word in command.words if word != 'python']
        used = set().union(*(strings_of(REPO, test) for test in tests))
        options = {word for word in arguments if word.startswith('--')}
        options |= {name for name, _ in command.variables} - {'OMP_NUM_THREADS'}
        if options - used:
            failures.append(f'{command.place} {tests} do not use {options - used}')
        stem = Path(tool).stem
        if not any(re.search(rf'\b{stem}\b', (REPO / test.partition('::')[0]).read_text()) for test in tests):
            failures.append(f'{command.place} {tests} do not name {tool}')
        if tool.endswith('.sh'):
            tool, arguments = as_started_by_script(tool, arguments)
        code, printed = run(tool, arguments, call='parse_args')
        if code:
            failures.append(f'{command.place} {printed[-500:]}')
    assert not failures, '\n'.join(failures)


def as_started_by_script(script: str, arguments: list[str]) -> tuple[str, list[str]]:
    """The tool and its arguments that a launch script makes of its own; see their usage lines."""
    kind, phase = re.fullmatch(r'tools/(dist|slurm)_(train|test)\.sh', script).groups()
    if kind == 'slurm':
        return f'tools/{phase}.py', arguments[2:]
    where = 1 if phase == 'train' else 2
    assert arguments[where].isdecimal(), f'{script} wants the number of processes as argument {where + 1}'
    return f'tools/{phase}.py', arguments[:where] + arguments[where + 1 :]


@pytest.mark.parametrize('page', READS_THE_PAGE)
def test_pages_that_a_test_reads(page):
    strings = strings_of(REPO, READS_THE_PAGE[page])
    assert page in strings and 'every command of the page was run' in strings


def test_options_named_in_the_text(run):
    """What the text names beside a tool, without a whole command, is an option of it."""
    helps, unknown, number = {}, [], 0
    for page in find_pages(REPO):
        for tool, options in read_mentions(page.read_text(encoding='utf-8')):
            tool = re.sub(r'(?:dist|slurm)_(train|test)\.sh$', r'\1.py', tool)
            if tool not in helps:
                helps[tool] = set(re.findall(r'--[a-z][a-z-]*', run(tool, ['--help'])[1]))
            unknown += [f'{page.name}: {tool} {option}' for option in options if option not in helps[tool]]
            number += len(options)
    assert not unknown
    assert number
