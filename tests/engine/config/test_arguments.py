"""Options that are no KEY=VALUE are refused by argparse, in a sentence."""

from argparse import ArgumentParser

import pytest

from sparse_rcnn_ext.engine.config.arguments import add_cfg_options, add_launcher


@pytest.fixture
def parser():
    parser = ArgumentParser()
    add_cfg_options(parser, 'a=1')
    return parser


def test_values(parser):
    words = ['--cfg-options', 'a=1', 'b.c=(1,2)', 'd=x=y', '--cfg-options', 'e=[[1,2],None]', 'f=']
    assert parser.parse_args(words).cfg_options == {'a': 1, 'b.c': (1, 2), 'd': 'x=y', 'e': [[1, 2], None], 'f': ''}


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ("('traffic light', \"the dog's bed\")", ('traffic light', "the dog's bed")),
        ("[('red, pale', 2), 'b']", [('red, pale', 2), 'b']),
        ("('cat')", ('cat',)),
        ('(traffic light, 2, [ 1.5 , None ])', ('traffic light', 2, [1.5, None])),
        ('a b, c', ['a b', 'c']),
        ("'traffic light'", 'traffic light'),
        ('/my data (1)/x y/', '/my data (1)/x y/'),
        (' 3 ', 3),
        ('', ''),
    ],
)
def test_blanks(parser, text, value):
    """They stay in paths and names."""
    assert parser.parse_args(['--cfg-options', f'a={text}', 'b=1']).cfg_options == {'a': value, 'b': 1}


@pytest.mark.parametrize('option', ['max_epochs', '=3', 'model..depth=3', 'model.=3', '.model=3'])
def test_no_key_and_value(parser, option, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parser.parse_args(['--cfg-options', 'a=1', option])
    assert exit_info.value.code == 2
    assert f'{option!r} is no KEY=VALUE, such as model.rpn_head.num_proposals=50' in capsys.readouterr().err


@pytest.mark.parametrize('option', ['a=[1 b,2', 'a=1,(2', 'a=' + '[' * 5000 + ']' * 5000])
def test_brackets(parser, option, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parser.parse_args(['--cfg-options', option])
    assert exit_info.value.code == 2
    printed = capsys.readouterr().err
    assert 'cannot be read' in printed and '\0' not in printed


@pytest.mark.parametrize(
    ('words', 'rank'), [([], None), (['--local-rank=1'], 1), (['--local_rank=1'], 1), (['--local-rank', '1'], 1)]
)
def test_local_rank(words, rank):
    parser = ArgumentParser()
    add_launcher(parser)
    assert parser.parse_args(words).local_rank == rank
