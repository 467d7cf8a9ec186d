//! A hop as Python sees it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::error::to_python;
use super::gateway::{Close, Held};
use super::logging;
use crate::engine::error::Result;
use crate::engine::record::traces;
use crate::engine::session::hop::{self, HopConfig};
use crate::engine::stats::HopCounts;

/// Passes datagrams between programs, badly. `audiostream.lab.Hop` is what users see.
#[pyclass(frozen, module = "audiostream._engine")]
pub struct Hop {
    held: Held<hop::Hop>,
}

impl Close for hop::Hop {
    fn close(&self, drain: bool) -> Result<()> {
        self.close(drain);
        Ok(())
    }
}

#[pymethods]
impl Hop {
    #[new]
    #[pyo3(signature = (*, listen, forward, network))]
    fn new(py: Python<'_>, listen: &str, forward: &str, network: &str) -> PyResult<Self> {
        logging::open(py)?;
        let open = || hop::Hop::open(&HopConfig::parse(listen, forward, traces::network(network)?)?);
        let opened = py.detach(open).map_err(|error| to_python(py, &error))?;
        Ok(Self { held: Held::new(opened) })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        logging::open(py)?;
        self.held.call(py, hop::Hop::start)
    }

    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let closed = self.held.wait(py, timeout, |hop, slice| Ok(hop.wait(slice)?.then_some(())))?;
        Ok(closed.is_some())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.held.call(py, |hop| Ok(hop.stats()))?;
        let dict = PyDict::new(py);
        dict.set_item("up", counts_dict(py, &stats.up)?)?;
        dict.set_item("down", counts_dict(py, &stats.down)?)?;
        dict.set_item("packets_refused", stats.refused)?;
        dict.set_item("packets_unreachable", stats.unreachable)?;
        dict.set_item("packets_dropped_local", stats.dropped_local)?;
        let peers = stats.peers.iter().map(|peer| {
            let dict = PyDict::new(py);
            dict.set_item("address", peer.address.to_string())?;
            dict.set_item("idle_ms", peer.idle_ms)?;
            dict.set_item("up", counts_dict(py, &peer.up)?)?;
            dict.set_item("down", counts_dict(py, &peer.down)?)?;
            Ok(dict)
        });
        dict.set_item("peers", peers.collect::<PyResult<Vec<_>>>()?)?;
        Ok(dict)
    }

    fn addresses(&self, py: Python<'_>) -> PyResult<(String, String)> {
        self.held.call(py, |hop| Ok((hop.local_addr().to_string(), hop.far().to_string())))
    }

    fn close(&self, py: Python<'_>, drain: bool) -> PyResult<()> {
        self.held.call(py, move |hop| Close::close(hop, drain))
    }
}

fn counts_dict<'py>(py: Python<'py>, counts: &HopCounts) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("packets_received", counts.received)?;
    dict.set_item("bytes_received", counts.bytes_received)?;
    dict.set_item("packets_sent", counts.sent)?;
    dict.set_item("bytes_sent", counts.bytes_sent)?;
    dict.set_item("packets_lost", counts.lost)?;
    dict.set_item("packets_duplicated", counts.duplicated)?;
    dict.set_item("packets_reordered", counts.reordered)?;
    dict.set_item("packets_overflowed", counts.overflowed)?;
    dict.set_item("packets_dropped", counts.dropped)?;
    dict.set_item("packets_unsent", counts.unsent)?;
    dict.set_item("packets_waiting", counts.waiting)?;
    dict.set_item("reports_received", counts.reports)?;
    dict.set_item("reports_lost", counts.reports_lost)?;
    Ok(dict)
}
