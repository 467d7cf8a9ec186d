//! Engine errors as Python exceptions. The classes are Python's own, in `audiostream.errors`: each derives from the
//! package's base and from the builtin that it is.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::engine::error::{Error, ErrorKind};

/// The exception for `error`; its `errno` is set where the operating system gave one.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::Config => "ConfigError",
        ErrorKind::Device => "DeviceError",
        ErrorKind::Transport => "TransportError",
        ErrorKind::Recording => "RecordingError",
        ErrorKind::State => "StateError",
    };
    let make = || -> PyResult<PyErr> {
        let exception = py.import("audiostream.errors")?.getattr(class)?.call1((error.message(),))?;
        if let Some(errno) = error.errno() {
            exception.setattr("errno", errno)?;
        }
        Ok(PyErr::from_value(exception))
    };
    make().unwrap_or_else(|_| PyRuntimeError::new_err(error.message().to_owned()))
}
