"""A host device whose arrays do not mix with those of the host, as those of a GPU do not.

What would be refused on a GPU, arithmetic between an array there and one here, is refused here too.
"""

from types import SimpleNamespace

import numpy as np
from cuda_host.host import HostDevice


class Fenced(np.ndarray):
    """An array that counts as being on a device."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        inside = [_inside(each) for each in inputs]
        for name in ("out", "where"):
            if name in options:
                given = options[name]
                options[name] = (
                    tuple(map(_inside, given)) if isinstance(given, tuple) else _inside(given)
                )
        return _fenced(getattr(ufunc, method)(*inside, **options))

    def __array_function__(self, func, types, args, kwargs):
        inside = [_opened(each) for each in args]
        return _fenced(func(*inside, **{name: _opened(each) for name, each in kwargs.items()}))

    def __setitem__(self, index, value):
        np.asarray(self).__setitem__(index, _inside(value))


class FencedDevice(HostDevice):
    """`HostDevice` with fenced arrays."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.xp = SimpleNamespace(
            **{name: _making(name) for name in ("empty", "zeros", "empty_like", "isfinite")}
        )

    def put(self, array):
        """A copy on the device, C order, same dtype.

        Raises:
            TypeError: if it is there already.
        """
        if isinstance(array, Fenced):
            raise TypeError("an array of the device was put on the device")
        return super().put(array).view(Fenced)

    def get(self, array):
        """A copy on the host.

        Raises:
            TypeError: if it is there already.
        """
        if not isinstance(array, Fenced):
            raise TypeError(f"{type(array).__name__} is no array of the device")
        return np.array(array.view(np.ndarray))

    def address(self, array):
        """Where an array begins.

        Raises:
            TypeError: if it is an array of the host.
        """
        if not isinstance(array, Fenced):
            raise TypeError(f"{type(array).__name__} is no array of the device")
        return super().address(array)

    def holds(self, array):
        """Whether an array is behind the fence."""
        return isinstance(array, Fenced)

    def compile(self, source, names):
        """As `HostDevice.compile`, for fenced arrays."""
        module = super().compile(source, names)
        launch = module.launch

        def fenced(name, blocks, threads, arguments, shared=0):
            opened = [_inside(each) if _is_array(each) else each for each in arguments]
            launch(name, blocks, threads, opened, shared)

        module.launch = fenced
        return module


def _is_array(value) -> bool:
    """Whether something is an array of numbers; structures go by value."""
    return isinstance(value, np.ndarray) and value.dtype.names is None


def _inside(value):
    """What is behind the fence.

    Raises:
        TypeError: if something is an array of the host.
    """
    if isinstance(value, Fenced):
        return value.view(np.ndarray)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"a host array of shape {value.shape} meets an array of the device")
    return value


def _opened(value):
    return [_inside(each) for each in value] if isinstance(value, list | tuple) else _inside(value)


def _fenced(value):
    if isinstance(value, tuple | list):
        return type(value)(map(_fenced, value))
    return np.asarray(value).view(Fenced) if isinstance(value, np.ndarray | np.generic) else value


def _making(name):
    make = getattr(np, name)
    return lambda *args, **kwargs: _fenced(make(*map(_inside, args), **kwargs))
