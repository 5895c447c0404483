"""How the commands are found: what a shell would run, and nothing else."""

import pytest

from tests.docs.pages import Command, read_blocks, read_commands, read_mentions

PAGE = """
Words, `make install`, and `tools/test.py --out` in them; also `python tools/train.py CONFIG --amp bf16`.

```bash
python tools/train.py a.py \\
    --cfg-options "b.c=(1,2)" 'd=e f'  # a remark
for table in one two; do
    OMP_NUM_THREADS=1 python tools/ablate.py $table
done
NNODES=2 tools/dist_train.sh a.py 4
source .venv/bin/activate
```

```console
$ make test
12 passed
```

Then:

    $ pip install this

```python
make = 'python tools/train.py'
```
"""


@pytest.fixture
def found(tmp_path) -> list[Command]:
    commands = []
    for number, block in enumerate(read_blocks('page.md', PAGE)):
        (tmp_path / str(number)).mkdir()
        commands += read_commands(block, tmp_path / str(number))
    return commands


def test_commands(found):
    assert [command.words for command in found] == [
        ('python', 'tools/train.py', 'a.py', '--cfg-options', 'b.c=(1,2)', 'd=e f'),
        ('python', 'tools/ablate.py', 'one'),
        ('python', 'tools/ablate.py', 'two'),
        ('tools/dist_train.sh', 'a.py', '4'),
        ('source', '.venv/bin/activate'),
        ('make', 'test'),
        ('pip', 'install', 'this'),
    ]
    assert [dict(command.variables) for command in found] == [
        {},
        {'OMP_NUM_THREADS': '1'},
        {'OMP_NUM_THREADS': '1'},
        {'NNODES': '2'},
        {},
        {},
        {},
    ]
    assert found[0].place == 'page.md:4' and found[-1].place == 'page.md:21'


def test_mentions():
    assert read_mentions(PAGE) == [('tools/test.py', ['--out']), ('tools/train.py', ['--amp'])]


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('```\npython tools/train.py a.py\n```', 'a fence without a language'),
        ('```powershell\ndir\n```', '```powershell is none of'),
    ],
)
def test_blocks_that_could_hide_a_command(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        list(read_blocks('page.md', text))


@pytest.mark.parametrize('text', ['for x in 1 2; do', './absent.sh', 'python a >out && cat <nowhere'])
def test_block_that_bash_does_not_take(text, tmp_path):
    (block,) = read_blocks('page.md', f'```bash\n{text}\n```')
    with pytest.raises(ValueError, match=r'page\.md:1: bash says'):
        read_commands(block, tmp_path)
