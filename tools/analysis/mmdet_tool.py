"""Run an analysis tool of mmdet, as it was installed: tools/analysis/mmdet_tool.py NAME [its arguments].

Without a name it lists them; NAME --help explains one. docs/reports.md says which are of use here.
"""

import runpy
import sys
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mmdet

# Before mmdet.models, which some of the tools import.
import sparse_rcnn_ext  # noqa: F401
from sparse_rcnn_ext.engine.errors import UserError, exit_on_user_error

FOLDER = Path(mmdet.__file__).parent / '.mim/tools/analysis_tools'


def find_tools() -> dict[str, Path]:
    """The tools by name.

    Raises:
        UserError: If this mmdet came without them.
    """
    tools = {path.stem: path for path in sorted(FOLDER.glob('*.py'))}
    if not tools:
        raise UserError(f'this mmdet has no tools in {FOLDER}: install it from its wheel, as make install does')
    return tools


def main(argv: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else argv
    with exit_on_user_error():
        tools = find_tools()
        if not arguments or arguments[0] in ('-h', '--help'):
            print(__doc__ + '\nNames: ' + ', '.join(tools))
            return
        name = arguments[0].removesuffix('.py')
        if name not in tools:
            raise UserError(f'mmdet has no analysis tool {arguments[0]}: take one of {", ".join(tools)}')
        sys.argv = [str(tools[name]), *arguments[1:]]
        runpy.run_path(str(tools[name]), run_name='__main__')


if __name__ == '__main__':
    main()
