"""Errors of the user end in one line."""

import pytest

from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.errors import UserError


def test_user_error_becomes_one_line_and_code_1():
    with pytest.raises(SystemExit) as exit_info, exit_on_user_error():
        raise UserError('the sentence')
    assert exit_info.value.code == 'error: the sentence'
