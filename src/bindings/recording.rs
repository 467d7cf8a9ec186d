//! Recordings as Python dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::record::Recorded;
use crate::engine::record::tap::RecorderState;

/// `path frames rate channels bytes error`.
pub fn recorded_dict<'py>(py: Python<'py>, recorded: &Recorded) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("path", &recorded.path)?;
    dict.set_item("frames", recorded.frames)?;
    dict.set_item("rate", recorded.format.rate())?;
    dict.set_item("channels", recorded.format.channels())?;
    dict.set_item("bytes", recorded.bytes)?;
    dict.set_item("error", recorded.error.as_ref().map(ToString::to_string))?;
    Ok(dict)
}

/// `recording frames path error last`.
pub fn state_dict<'py>(py: Python<'py>, state: &RecorderState) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("recording", state.recording)?;
    dict.set_item("frames", state.frames)?;
    dict.set_item("path", state.path.as_ref())?;
    dict.set_item("error", state.error.as_ref().map(ToString::to_string))?;
    dict.set_item("frames_dropped", state.dropped_frames)?;
    dict.set_item("last", state.last.as_ref().map(|last| recorded_dict(py, last)).transpose()?)?;
    Ok(dict)
}
