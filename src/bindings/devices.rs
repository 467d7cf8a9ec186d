//! Sound devices as Python dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::error::to_python;
use crate::engine::audio::device;

/// The sound devices there are now, of one host or of the default one.
#[pyfunction]
#[pyo3(signature = (host_api=None))]
#[allow(clippy::needless_pass_by_value, reason = "an argument of a Python call")]
pub fn list_devices(py: Python<'_>, host_api: Option<String>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let devices =
        py.detach(|| device::list_devices(host_api.as_deref())).map_err(|error| to_python(py, &error))?;
    let dict = |info: device::DeviceInfo| {
        let dict = PyDict::new(py);
        dict.set_item("index", info.index)?;
        dict.set_item("name", info.name)?;
        dict.set_item("id", info.id)?;
        dict.set_item("host_api", info.host_api)?;
        dict.set_item("max_input_channels", info.max_input_channels)?;
        dict.set_item("max_output_channels", info.max_output_channels)?;
        dict.set_item("default_rate", info.default_rate)?;
        dict.set_item("is_default_input", info.is_default_input)?;
        dict.set_item("is_default_output", info.is_default_output)?;
        Ok(dict)
    };
    devices.into_iter().map(dict).collect()
}

/// The sound systems that answer on this machine, the preferred one first.
#[pyfunction]
pub fn host_apis(py: Python<'_>) -> Vec<String> {
    py.detach(device::host_apis)
}
