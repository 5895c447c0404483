"""Run an analysis tool of mmdet, as it was installed: tools/analysis/mmdet_tool.py NAME [its arguments].

Without a name it lists those that run here; NAME --help explains one. docs/reports.md says which are of use.
"""

import runpy
import sys
import traceback
from pathlib import Path

# From any folder, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mmdet

# Before mmdet.models, which some of the tools import.
import sparse_rcnn_ext  # noqa: F401
from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.engine.config.build_errors import explain_build_error
from sparse_rcnn_ext.errors import UserError

FOLDER = Path(mmdet.__file__).parent / '.mim/tools/analysis_tools'
_PICKLES = 'reads a .pkl file, which could run code'
_GROUNDING = 'is for models that take a text: take tools/analysis'
_ROBUSTNESS = "needs mmdet's repository, which its wheel lacks: run it there"
# What cannot run, or not right, and why.
UNFIT = {
    'analyze_results': f'{_PICKLES}: take tools/analysis/report.py',
    'benchmark': 'needs psutil, and its --fuse-conv-bn breaks timm networks: take tools/analysis/benchmark.py',
    'browse_grounding_dataset': f'{_GROUNDING}/browse.py',
    'browse_grounding_raw': f'{_GROUNDING}/browse.py',
    'coco_occluded_separated_recall': f'{_PICKLES}: take tools/analysis/analyze_errors.py',
    'confusion_matrix': f'{_PICKLES}: take tools/analysis/report.py',
    'eval_metric': f'{_PICKLES}: take tools/test.py, which prints the numbers',
    'fuse_results': 'reads arguments that it does not define, and always stops: take tools/test.py --tta to fuse views',
    'get_flops_grounding': f'{_GROUNDING}/flops.py',
    'optimize_anchors': 'chooses anchors, and a Sparse R-CNN has none',
    'robustness_eval': _ROBUSTNESS,
    'test_robustness': _ROBUSTNESS,
}


def find_tools() -> dict[str, Path]:
    """The tools that run here, by name.

    Raises:
        UserError: If this mmdet came without them.
    """
    tools = {path.stem: path for path in sorted(FOLDER.glob('*.py')) if path.stem not in UNFIT}
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
        if name in UNFIT:
            raise UserError(f"mmdet's {name} {UNFIT[name]}")
        if name not in tools:
            raise UserError(f'mmdet has no analysis tool {arguments[0]}: take one of {", ".join(tools)}')
        sys.argv = [str(tools[name]), *arguments[1:]]
        try:
            runpy.run_path(str(tools[name]), run_name='__main__')
        except UserError:
            raise
        except Exception as error:  # such as for a file that it cannot read
            raise UserError(explain_build_error(error) or _describe(error, tools[name])) from error


def _describe(error: Exception, tool: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(tool)]
    reason = ' '.join(str(error).split())
    return (
        f"mmdet's {tool.stem} stopped at its line {lines[-1]} ({type(error).__name__}: {reason}): "
        f'{tool.stem} --help says what it takes'
    )


if __name__ == '__main__':
    main()
