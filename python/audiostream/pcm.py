"""Programs' sound as the engine takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer


def pcm_of(sound: Buffer | npt.NDArray[Any], channels: int) -> bytes:
    """Interleaved 16-bit samples of this machine's byte order.

    Args:
        sound: Bytes of such samples; or an array of int16 or floats, `(frames, channels)`, of one channel also
            `(frames,)`.
        channels: What the stream has.

    Raises:
        ConfigError: It is of another shape or type.
    """
    try:
        view = memoryview(cast("Buffer", sound))
    except TypeError:
        raise ConfigError(f"sound must be an array or bytes, not {type(sound).__name__}") from None
    kind = view.format.lstrip("@=")
    if kind in {"B", "b", "c"}:
        if view.nbytes % (2 * channels):
            raise ConfigError(f"bytes must be whole frames of {2 * channels} bytes, not {view.nbytes}")
        return view.tobytes()
    shape = view.shape or ()
    if shape[1:] != ((channels,) if channels > 1 or view.ndim != 1 else ()):
        raise ConfigError(f"the array must be of shape (frames, {channels}), not {shape}")
    if kind == "h":
        return view.tobytes()
    if kind in {"e", "f", "d"}:
        import numpy as np  # only who has floats pays

        samples = np.nan_to_num(np.asarray(sound, dtype=np.float64), posinf=1.0, neginf=-1.0)
        whole = np.minimum(np.maximum(np.rint(samples * 32_768), -32_768), 32_767)
        return whole.astype(np.int16).tobytes()
    raise ConfigError(f"the array must be of int16 or floats, not of format {view.format!r}")
