//! The only room that knows Python: the module `audiostream._engine`.
//!
//! One file a class; [`gateway`] is how blocking calls are made, [`logging`] how engine records reach Python,
//! [`error`] the one place where an engine error becomes an exception.

#![allow(clippy::needless_pass_by_value, reason = "what Python hands over is owned")]

mod client;
mod devices;
mod error;
mod frames;
mod gateway;
mod hop;
mod key;
mod lab;
mod logging;
mod recording;
mod server;
mod stats;

use pyo3::prelude::*;

/// The native engine of audiostream.
#[pymodule(gil_used = false)]
#[pyo3(name = "_engine")]
mod engine_module {
    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::devices::{host_apis, list_devices};
    #[pymodule_export]
    use super::frames::Frames;
    #[pymodule_export]
    use super::gateway::shutdown;
    #[pymodule_export]
    use super::hop::Hop;
    #[pymodule_export]
    use super::key::{key_suite, make_key};
    #[pymodule_export]
    use super::lab::{lab_network, lab_run, lab_voice};
    #[pymodule_export]
    use super::logging::set_log_level;
    #[pymodule_export]
    use super::server::Server;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
