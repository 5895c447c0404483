"""How far a checkpoint fits a model, in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sparse_rcnn_ext.errors import UserError

_STAGE = re.compile(r'roi_head\.bbox_head\.(\d+)\.')
_CLASSIFIER = re.compile(r'roi_head\.bbox_head\.\d+\.fc_cls\.(weight|bias)')
_PROPOSALS = ('rpn_head.init_proposal_bboxes.weight', 'rpn_head.init_proposal_features.weight')
_OFFICIAL = ('init_proposal_boxes.', 'head.head_series.')
_UNREAD = 'num_batches_tracked'
_IN_TRAINING = 'denoising.'
_MISMATCHES_SHOWN = 3


@dataclass(frozen=True)
class Fit:
    """What became of comparing a checkpoint with a model."""

    classifiers: list[str]
    """The classifiers' parameters that differ in the number of classes only."""
    mismatches: list[str]
    """What else differs, a phrase each."""
    matching: int
    """Entries of the model that the checkpoint holds in the same shape."""
    total: int
    """Entries of the model."""
    phrases: list[str]
    """All that differs, the classifiers' parameters too."""
    advice: str
    """What to do about it."""

    def __str__(self) -> str:
        more = len(self.phrases) - _MISMATCHES_SHOWN
        shown = '; '.join(self.phrases[:_MISMATCHES_SHOWN]) + (f'; and {more} more' if more > 0 else '')
        # Rounded down: 100% is what fits.
        return f'{self.matching} of {self.total} parameters ({100 * self.matching // self.total}%) match: {shown}'


def refuse_official_names(checkpoint: dict, file: str) -> None:
    """Raise UserError if weights, bare or under ``model``, have names of the official repository."""
    weights = checkpoint.get('model')
    names = weights if isinstance(weights, Mapping) else checkpoint
    if any(isinstance(name, str) and name.startswith(_OFFICIAL) for name in names):
        raise UserError(
            f'{file} has the names of the official repository: '
            'run tools/convert/official_to_mmdet.py on it, and give what that writes'
        )


def compare_states(own: dict[str, Tensor], loaded: dict[str, Tensor]) -> Fit:
    """Compare the state dict of a model with one that is to be loaded into it."""
    # A count that old checkpoints lack, and nothing but BatchNorm without momentum reads; and what training alone has.
    own, loaded = (
        {name: value for name, value in state.items() if not (name.endswith(_UNREAD) or name.startswith(_IN_TRAINING))}
        for state in (own, loaded)
    )
    both = [name for name in own if name in loaded]
    # Another file than a checkpoint may hold anything.
    shapes = {name: (tuple(getattr(loaded[name], 'shape', ())), tuple(own[name].shape)) for name in both}
    differing = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    phrases = {
        name: f'{name} is {_size(before)} in the file and {_size(now)} in the model'
        for name, (before, now) in differing.items()
    }
    phrases |= {name: f'{name} ({_size(own[name].shape)}) is not in the file' for name in own if name not in loaded}
    phrases |= {
        name: f'{name} ({_size(getattr(value, "shape", ()))}) is not in the model'
        for name, value in loaded.items()
        if name not in own
    }
    in_rows = {name for name, (before, now) in differing.items() if before and before[1:] == now[1:]}
    others = {name.rpartition('.')[0] for name in differing if name not in in_rows}
    classifiers = [name for name in differing if _CLASSIFIER.fullmatch(name) and name.rpartition('.')[0] not in others]
    return Fit(
        classifiers=classifiers,
        mismatches=[phrase for name, phrase in phrases.items() if name not in classifiers],
        matching=len(both) - len(differing),
        total=len(own),
        phrases=list(phrases.values()),
        advice=_advice(own, loaded, set(phrases), set(classifiers), in_rows),
    )


def _advice(own: dict, loaded: dict, differing: set[str], classifiers: set[str], in_rows: set[str]) -> str:
    """The settings that would make the checkpoint fit, if a few numbers are all that differs."""
    settings = {}
    stages = [_num_stages(state) for state in (loaded, own)]
    beyond = {name for name in differing if (found := _STAGE.match(name)) and int(found[1]) >= min(stages)}
    proposals = in_rows.intersection(_PROPOSALS)
    if stages[0] and beyond:
        settings['model.roi_head.num_stages'] = stages[0]
    if proposals:
        settings['model.rpn_head.num_proposals'] = len(loaded[min(proposals)])
    if classifiers:
        settings['model.roi_head.bbox_head.num_classes'] = len(loaded[min(classifiers)])
    if not settings or differing - beyond - proposals - classifiers:
        return 'give the config that it was trained with'
    wishes = ' and '.join(f'{setting} to {value}' for setting, value in settings.items())
    return f'set {wishes}, or give a checkpoint of this config'


def _num_stages(state: dict) -> int:
    return len({found[1] for found in map(_STAGE.match, state) if found})


def _size(shape: tuple[int, ...]) -> str:
    return '×'.join(map(str, shape)) or 'a single value'
