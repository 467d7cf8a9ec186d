//! Frames as Python sees them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::gateway::{Close, Held};
use crate::engine::error::Result;
use crate::engine::playout::tap::Block;
use crate::engine::session::frames::FrameStream;

/// Hands out frames; `audiostream.Frames` is what users see.
#[pyclass(frozen, module = "audiostream._engine")]
pub struct Frames {
    held: Held<FrameStream>,
}

/// Source, RTP timestamp, time of day, rate or 0, channels, samples, loss mask, frames dropped before.
type Taken<'py> = (u32, u32, f64, u32, usize, Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>, u64);

impl Close for FrameStream {
    fn close(&self, _drain: bool) -> Result<()> {
        self.close();
        Ok(())
    }
}

impl Frames {
    pub fn new(stream: FrameStream) -> Self {
        Self { held: Held::new(stream) }
    }
}

#[pymethods]
impl Frames {
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Taken<'py>>> {
        self.held.get(py)?.next(|block, time| taken(py, block, time)).transpose()
    }

    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let come = self.held.wait(py, timeout, |stream, slice| Ok(stream.wait(slice)?.then_some(())))?;
        Ok(come.is_some())
    }

    fn arm(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.held.get(py)?.arm())
    }

    fn hush(&self, py: Python<'_>) -> PyResult<()> {
        self.held.get(py)?.hush();
        Ok(())
    }

    fn descriptor(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.held.get(py)?.descriptor())
    }

    fn is_over(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.held.get(py)?.is_over())
    }

    fn dropped(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.held.get(py)?.dropped())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.held.call(py, |stream| Close::close(stream, false))
    }
}

fn taken<'py>(py: Python<'py>, block: &Block, time: f64) -> PyResult<Taken<'py>> {
    let samples = PyBytes::new_with(py, block.samples.len() * 2, |bytes| {
        for (to, sample) in bytes.as_chunks_mut().0.iter_mut().zip(&block.samples) {
            *to = sample.to_ne_bytes();
        }
        Ok(())
    })?;
    let lost = block.is_harmed.then(|| PyBytes::new(py, &block.lost));
    let Block { source, position, rate, channels, dropped, .. } = block;
    Ok((*source, position.0 as u32, time, *rate, *channels, samples, lost, *dropped))
}
