"""Wrong settings of a recipe end in a sentence that names them."""

import pytest

from sparse_rcnn_ext.engine.config.knobs import check_choice, check_rate, check_weights, check_whole
from sparse_rcnn_ext.errors import UserError


@pytest.mark.parametrize(
    ('check', 'first', 'good', 'bad', 'advice'),
    [
        (check_whole, (2,), [2, 100], [1, 2.0, True, '2', None], 'a whole number of at least 2'),
        (
            check_rate,
            (),
            [1e-9, 1, 0.5],
            [0, -1e-3, 1.1, True, 'fast', None, float('nan')],
            'a number above 0 and at most 1, such as 2.5e-5',
        ),
        (
            check_weights,
            (3,),
            [(1, 2.5, 0), [1, 1, 1]],
            [(1, 1), 1, (1, 1, -1), (1, 1, 'x'), '111', (1, 1, float('inf')), (1, 1, float('nan')), None],
            '3 numbers of at least 0',
        ),
        (check_choice, ((True, False),), [True, False], [1, 0, 'yes', None], 'True or False'),
        (check_choice, ((None, 'a', 'b'),), [None, 'a', 'b'], ['c', 0, False], "None, 'a' or 'b'"),
    ],
)
def test_every_check(check, first, good, bad, advice):
    for value in good:
        check(*first, right=value)
    for value in bad:
        with pytest.raises(UserError) as caught:
            check(*first, right=good[0], wrong=value)
        assert str(caught.value) == f'wrong is {value!r}: set it to {advice}'
