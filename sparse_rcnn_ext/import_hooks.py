"""What has to be so wherever OpenMMLab's packages are used, brought about when the first of them is imported.

Not before: torch and mmcv take seconds to import, and whoever asks a tool for --help needs neither.

What a hook imports must not itself be what imports the hooked package first, or one of the two is there in part only:
it does so within its functions, or is imported here alone.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PORTABLE_OPS = 'mmcv._ext'
# onedl-mmcv requires opencv-python, which needs libGL and with it a desktop; bare servers have none. The headless build
# owns the same folder cv2 and needs nothing, so it has to be installed last. Versions as in requirements/runtime.txt.
HEADLESS = 'opencv-python-headless==' + ('4.12.0.88' if sys.version_info < (3, 14) else '4.11.0.86')
REPAIR = f'pip install --force-reinstall --no-deps {HEADLESS}'

_IMGAUG = (
    'imgaug',
    'imgaug.augmenters',
    'imgaug.augmentables',
    'imgaug.augmentables.lines',
    'imgaug.augmentables.segmaps',
)


def install_import_hooks() -> None:
    """Have each done around its import, or at once where that is over; a second call does nothing."""
    if any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        return
    hooks = {
        'cv2': _explain_missing_opencv,
        'mmdet.datasets.transforms.generate_line': _with_imgaug_on_demand,
        'mmengine.fileio': _then_refuse_pickles,
        'mmengine.runner': _then_load_safely,
        'torch': _then_know_runner_checkpoints,
    }
    for name, around in hooks.items():
        if name in sys.modules:
            with around():
                pass
        else:
            sys.meta_path.insert(0, _ImportHook(name, around))
    # Behind all that find a compiled one.
    sys.meta_path.append(_PortableOpsFinder())


@contextmanager
def _explain_missing_opencv() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'OpenCV cannot be imported ({error}): run `make install`, or in an environment of your own `{REPAIR}`.'
        ) from error


@contextmanager
def _then_refuse_pickles() -> Iterator[None]:
    yield
    from sparse_rcnn_ext.engine.checkpoints.trust import refuse_pickles

    refuse_pickles()


@contextmanager
def _then_load_safely() -> Iterator[None]:
    yield
    from sparse_rcnn_ext.engine.checkpoints.safe_loading import install_safe_loading

    install_safe_loading()


@contextmanager
def _then_know_runner_checkpoints() -> Iterator[None]:
    yield
    from sparse_rcnn_ext.engine.checkpoints.safe_globals import register_safe_globals

    register_safe_globals()


@contextmanager
def _with_imgaug_on_demand() -> Iterator[None]:
    """These transforms of lanes import it, a sixth of mmdet's import, when no lane is anywhere to be seen."""
    if _IMGAUG[0] in sys.modules:
        yield
        return
    stand_ins = {name: _CalledOnDemand(name) for name in _IMGAUG}
    for name, module in stand_ins.items():
        package, _, own = name.rpartition('.')
        if package:
            setattr(stand_ins[package], own, module)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)


class _CalledOnDemand(ModuleType):
    """Stands for a module of which things are only called: what is called imports it."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*args, **kwargs)

        return call


class _ImportHook(MetaPathFinder):
    """Finds one module as the finders after it do, and runs it within ``around()``."""

    def __init__(self, name: str, around: Callable[[], AbstractContextManager]) -> None:
        self.name = name
        self.around = around
        self.is_running = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # cv2 imports a second module of its own name in the middle of the first.
        if name != self.name or self.is_running:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _HookedLoader(spec.loader, self)
                return spec
        return None


class _HookedLoader(Loader):
    """The loader of a hooked module, which afterwards looks as if it had been loaded without a hook."""

    def __init__(self, loader: Loader, hook: _ImportHook) -> None:
        self.loader = loader
        self.hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        self.hook.is_running = True
        try:
            with self.hook.around():
                self.loader.exec_module(module)
        finally:
            self.hook.is_running = False


class _PortableOpsFinder(MetaPathFinder):
    """Finds ``mmcv._ext`` where mmcv was installed without compiled operators."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != PORTABLE_OPS:
            return None
        from .portable_ops import PortableOpsLoader

        # mmcv and torch look at the __spec__ of modules, so it has to be a real one.
        return ModuleSpec(name, PortableOpsLoader(), origin=PortableOpsLoader.__module__)
