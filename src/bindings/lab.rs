//! Experiments of the lab as Python makes them: keywords in, a dictionary out.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::client::milliseconds;
use super::error::to_python;
use crate::engine::audio;
use crate::engine::coding::Coding;
use crate::engine::config::{Audio, BlockSize, ClientConfig, Path, Protocol, Redundancy, Wire};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::lab::{self, Experiment, Outcome, Spread};
use crate::engine::playout::live::Bounds;
use crate::engine::record::traces;
use crate::engine::sim::tcp::Algorithm;

/// Tries one way of sending over one network. The sound is 16-bit PCM of this machine's byte order.
#[pyfunction]
#[pyo3(signature = (*, sound, rate, channels, network, protocol, congestion, wire, codec, bitrate, fec, size, ptime, redundancy,
                    spacing, delay, min_delay, max_delay, capture))]
#[allow(clippy::too_many_arguments, reason = "keywords of one Python call")]
pub fn lab_run<'py>(
    py: Python<'py>,
    sound: &Bound<'py, PyBytes>,
    rate: u32,
    channels: u16,
    network: &str,
    protocol: &str,
    congestion: &str,
    wire: &str,
    codec: &str,
    bitrate: u32,
    fec: bool,
    size: f64,
    ptime: Option<f64>,
    redundancy: &str,
    spacing: u8,
    delay: Option<f64>,
    min_delay: f64,
    max_delay: f64,
    capture: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let experiment = || -> Result<Experiment> {
        let client = ClientConfig {
            audio: Audio {
                format: Format::new(rate, channels)?,
                block: BlockSize::from_ms(size)?,
                ..Audio::default()
            },
            path: Path { protocol: Protocol::parse(protocol)?, ..Path::default() },
            wire: Wire::parse(wire)?.ok_or_else(|| Error::config("wire must be 'rtp' or 'classic'"))?,
            codec: Coding::parse(codec)?,
            bitrate,
            fec,
            ptime: ptime.map(|ms| milliseconds("ptime", ms)).transpose()?,
            redundancy: Redundancy::parse(redundancy)?,
            spacing,
            ..ClientConfig::default()
        };
        let bounds = Bounds {
            least: milliseconds("min_delay", min_delay)?,
            most: milliseconds("max_delay", max_delay)?,
            fixed: delay.map(|ms| milliseconds("delay", ms)).transpose()?,
        };
        let samples = sound.as_bytes().as_chunks().0.iter().map(|bytes| i16::from_ne_bytes(*bytes));
        let congestion = match congestion {
            "reno" => Algorithm::Reno,
            "cubic" | "" => Algorithm::Cubic,
            other => {
                return Err(Error::config(format!("congestion must be 'reno' or 'cubic', not {other:?}")));
            }
        };
        Ok(Experiment {
            client,
            link: traces::network(network)?,
            congestion,
            bounds,
            sound: samples.collect(),
            capture,
        })
    };
    let experiment = experiment().map_err(|error| to_python(py, &error))?;
    let outcome = py.detach(|| lab::run(&experiment)).map_err(|error| to_python(py, &error))?;
    to_dict(py, &outcome)
}

/// The built-in voice, mono, as long as it lasts before it repeats.
#[pyfunction]
pub fn lab_voice(py: Python<'_>, rate: u32) -> PyResult<Bound<'_, PyBytes>> {
    let format = Format::new(rate, 1).map_err(|error| to_python(py, &error))?;
    Ok(samples(py, &audio::voice(format.rate())))
}

/// The text of a network as the engine understands it: every setting, or what is wrong with it.
#[pyfunction]
pub fn lab_network(py: Python<'_>, text: &str) -> PyResult<String> {
    traces::network(text).map(|config| config.to_string()).map_err(|error| to_python(py, &error))
}

fn to_dict<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let set = |name: &str, value: u64| dict.set_item(name, value);
    let counts = outcome.counts;
    set("packets_sent", counts.sent)?;
    set("copies_sent", counts.copies)?;
    set("packets_expected", counts.expected)?;
    set("packets_received", counts.received)?;
    set("packets_lost", counts.lost)?;
    set("packets_late", counts.late)?;
    set("packets_duplicated", counts.duplicated)?;
    set("packets_reordered", counts.reordered)?;
    set("packets_repaired", counts.repaired)?;
    set("packets_malformed", counts.malformed)?;
    set("packet_frames", counts.packet_frames)?;
    set("frames", counts.frames)?;
    set("frames_heard", counts.frames_heard)?;
    set("frames_concealed", counts.frames_concealed)?;
    set("concealments", counts.concealments)?;
    set("underruns", counts.underruns)?;
    set("frames_accelerated", counts.frames_accelerated)?;
    set("frames_expanded", counts.frames_expanded)?;
    set("resets", counts.resets)?;
    set("frames_dropped", counts.frames_dropped)?;
    set("overruns", counts.overruns)?;
    let injected = outcome.injected;
    set("injected_lost", injected.lost)?;
    set("injected_overflowed", injected.overflowed)?;
    set("injected_duplicated", injected.duplicated)?;
    set("injected_overtaken", injected.overtaken)?;
    set("unseen", injected.unseen)?;
    let bursts = outcome.bursts;
    set("burst_density_ppm", bursts.burst_density_ppm)?;
    set("burst_millipackets", bursts.burst_millipackets)?;
    set("gap_density_ppm", bursts.gap_density_ppm)?;
    set("gap_millipackets", bursts.gap_millipackets)?;
    set("jitter_us", outcome.jitter_us)?;
    set("jitter_mean_us", outcome.jitter_mean_us)?;
    for (name, Spread { least, p50, p95, p99, most, mean }) in
        [("network", outcome.network), ("mouth_to_ear", outcome.mouth_to_ear)]
    {
        for (figure, value) in
            [("min", least), ("p50", p50), ("p95", p95), ("p99", p99), ("max", most), ("mean", mean)]
        {
            set(&format!("{name}_{figure}_us"), value)?;
        }
    }
    set("wire_bps", outcome.bits.wire)?;
    set("payload_bps", outcome.bits.payload)?;
    set("goodput_bps", outcome.bits.good)?;
    set("need_bps", outcome.bits.need)?;
    set("header_ppm", outcome.bits.header_ppm)?;
    if let Some(tcp) = outcome.connection {
        set("segments", tcp.segments)?;
        set("segments_lost", tcp.segments_lost)?;
        set("retransmissions", tcp.retransmissions)?;
        set("timeouts", tcp.timeouts)?;
        set("recoveries", tcp.recoveries)?;
        dict.set_item("capacity_bps", tcp.capacity)?;
        dict.set_item("mathis_bps", tcp.mathis)?;
    }
    set("r_hundredths", outcome.judgement.r)?;
    set("mos_hundredths", outcome.judgement.mos)?;
    set("r_bare_hundredths", outcome.judgement.r_bare)?;
    set("missing_ppm", outcome.judgement.missing_ppm)?;
    set("stream_rate", u64::from(outcome.stream_rate))?;
    dict.set_item("heard", samples(py, &outcome.heard))?;
    dict.set_item("arrived", samples(py, &outcome.arrived))?;
    dict.set_item("delays", outcome.delays.clone())?;
    dict.set_item("capture", outcome.capture.as_deref().map(|bytes| PyBytes::new(py, bytes)))?;
    let begin = lab::BEGIN;
    let trace: Vec<_> = outcome
        .trace
        .iter()
        .map(|entry| {
            let micros = |at: crate::engine::time::Micros| at.signed_since(begin);
            let sequence = entry.sequence.map_or(-1, |sequence| sequence as i64);
            let arrived = entry.arrived.map_or(-1, micros);
            (sequence, micros(entry.sent), arrived, entry.state.name())
        })
        .collect();
    dict.set_item("trace", trace)?;
    Ok(dict)
}

fn samples<'py>(py: Python<'py>, sound: &[i16]) -> Bound<'py, PyBytes> {
    let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
    PyBytes::new(py, &bytes)
}
