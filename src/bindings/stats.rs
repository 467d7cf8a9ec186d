//! A server's figures as Python's dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::config::{Transports, Wire};
use crate::engine::stats::{Playback, Reception, RemoteReport, ServerStats, SourceStats};
use crate::engine::stream::reports::Ntp;

/// A server's figures, and what else is told with them.
pub struct Figures<'a> {
    /// What was counted.
    pub stats: &'a ServerStats,
    /// The sequence number of the last packet.
    pub last: Option<u16>,
    /// How dear concealment is.
    pub tier: u32,
    /// What was asked for.
    pub protocol: Transports,
    /// What was asked for, if anything.
    pub wire: Option<Wire>,
    /// The output's.
    pub rate: u32,
}

/// All figures.
pub fn server_dict<'py>(py: Python<'py>, figures: &Figures<'_>) -> PyResult<Bound<'py, PyDict>> {
    let Figures { stats, last, tier, protocol, wire, rate } = *figures;
    let dict = PyDict::new(py);
    fill(&dict, &stats.reception, &stats.playback, rate)?;
    dict.set_item("protocol", protocol.name())?;
    dict.set_item("packets_malformed", stats.malformed)?;
    dict.set_item("packets_refused", stats.refused)?;
    dict.set_item("packets_wrong_source", stats.wrong_source)?;
    dict.set_item("packets_unauthentic", stats.unauthentic)?;
    dict.set_item("sources_unheard", stats.unheard)?;
    dict.set_item("packets_dropped_local", stats.dropped_local)?;
    dict.set_item("packets_forwarded", stats.forwarded.packets)?;
    dict.set_item("packets_forward_dropped", stats.forwarded.dropped)?;
    dict.set_item("recordings", stats.recordings.running)?;
    dict.set_item("recordings_refused", stats.recordings.refused)?;
    dict.set_item("recordings_failed", stats.recordings.failed)?;
    dict.set_item("pcap_dropped", stats.pcap_dropped)?;
    dict.set_item("frames_unspoken", stats.frames_unspoken)?;
    let wire = stats.sources.first().map(|source| source.wire).or(wire);
    dict.set_item("wire", wire.map_or("auto", Wire::name))?;
    dict.set_item("last_sequence", last.map_or(-1, i32::from))?;
    dict.set_item("tier", tier)?;
    dict.set_item("events_dropped", stats.events_dropped)?;
    let sources = stats.sources.iter().map(|source| source_dict(py, source));
    dict.set_item("sources", sources.collect::<PyResult<Vec<_>>>()?)?;
    Ok(dict)
}

/// One source's figures.
pub fn source_dict<'py>(py: Python<'py>, source: &SourceStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    fill(&dict, &source.reception, &source.playback, source.coding.format.rate())?;
    dict.set_item("number", source.number)?;
    dict.set_item("state", source.presence.name())?;
    dict.set_item("gain", source.gain)?;
    dict.set_item("muted", source.muted)?;
    dict.set_item("protocol", source.protocol.name())?;
    dict.set_item("packets_malformed", 0)?;
    dict.set_item("packets_dropped_local", source.dropped_local)?;
    dict.set_item("wire", source.wire.name())?;
    dict.set_item("last_sequence", source.last_sequence)?;
    dict.set_item("codec", source.coding.to_string())?;
    dict.set_item("ssrc", source.ssrc)?;
    dict.set_item("address", source.address.to_string())?;
    dict.set_item("round_trip_ms", source.round_trip_ms)?;
    dict.set_item("cname", source.cname.as_deref())?;
    dict.set_item("name", source.name.as_deref())?;
    dict.set_item("packets_sent", source.packets_sent)?;
    dict.set_item("packets_withheld", source.packets_withheld)?;
    dict.set_item("r_factor", source.quality.map(|(r_factor, _)| r_factor))?;
    dict.set_item("mos", source.quality.map(|(_, mos)| mos))?;
    Ok(dict)
}

/// One report of a client's stream. Times are seconds since 1970.
pub fn report_dict<'py>(py: Python<'py>, report: &RemoteReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let arrived = Ntp(report.arrived);
    dict.set_item("number", report.number)?;
    dict.set_item("arrived", arrived.unix_seconds())?;
    dict.set_item("said", report.said.map(|said| Ntp(said).unix_seconds()))?;
    let sent = (report.last_sr != 0).then(|| arrived.before(report.last_sr).unix_seconds());
    dict.set_item("sent", sent)?;
    dict.set_item("held", f64::from(report.delay) / 65_536.0)?;
    dict.set_item("fraction_lost", report.fraction_lost)?;
    dict.set_item("packets_lost", report.packets_lost)?;
    dict.set_item("highest", report.highest)?;
    dict.set_item("jitter_ms", report.jitter_ms)?;
    dict.set_item("first", report.first)?;
    dict.set_item("duplicated", report.duplicated)?;
    dict.set_item("reordered", report.reordered)?;
    dict.set_item("drift_ppm", report.drift_ppm)?;
    Ok(dict)
}

fn fill(dict: &Bound<'_, PyDict>, reception: &Reception, playback: &Playback, rate: u32) -> PyResult<()> {
    dict.set_item("packets_expected", reception.expected)?;
    dict.set_item("packets_received", reception.received)?;
    dict.set_item("packets_lost", reception.lost)?;
    dict.set_item("packets_repaired", reception.repaired)?;
    dict.set_item("packets_late", playback.late_packets)?;
    dict.set_item("packets_duplicated", reception.duplicated)?;
    dict.set_item("packets_reordered", reception.reordered)?;
    dict.set_item("bytes_received", reception.bytes)?;
    dict.set_item("frames_received", reception.frames)?;
    dict.set_item("frames_played", playback.frames_played)?;
    dict.set_item("frames_concealed", playback.frames_concealed)?;
    dict.set_item("underruns", playback.underruns)?;
    dict.set_item("concealments", playback.concealments)?;
    dict.set_item("frames_accelerated", playback.frames_accelerated)?;
    dict.set_item("frames_expanded", playback.frames_expanded)?;
    dict.set_item("resets", playback.resets + reception.restarts + reception.resets)?;
    dict.set_item("drift_ppm", playback.drift_ppm)?;
    dict.set_item("jitter_ms", reception.jitter_frames * 1e3 / f64::from(rate))?;
    dict.set_item("jitter_mean_ms", reception.jitter_mean_frames * 1e3 / f64::from(rate))?;
    dict.set_item("delay_ms", playback.delay_ms)?;
    dict.set_item("delay_target_ms", playback.delay_target_ms)?;
    dict.set_item("level_db", playback.level_db)
}
