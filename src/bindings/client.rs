//! The client as Python sees it.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::error::to_python;
use super::gateway::{Close, Held};
use super::key::read_key;
use super::logging;
use super::recording::{recorded_dict, state_dict};
use super::stats::{report_dict, source_dict};
use crate::engine::coding::Coding;
use crate::engine::config::{
    Audio, BlockSize, ClientConfig, Input, Latency, Output, Path, Protocol, Redundancy, Wire,
};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::record::traces;
use crate::engine::session::client::{self, Identity};
use crate::engine::session::recorders::Side;
use crate::engine::stats::RemoteStats;

/// Captures sound, sends it, records it. `audiostream.AudioClient` is what users see.
#[pyclass(frozen, module = "audiostream._engine")]
pub struct Client {
    held: Held<client::Client>,
    protocol: Protocol,
    wire: Wire,
    channels: usize,
}

impl Close for client::Client {
    fn close(&self, drain: bool) -> Result<()> {
        self.close(drain)
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*, protocol, host, port, size, rate, channels, input, output, wire, codec, bitrate, fec, dred, ptime, redundancy, spacing, host_api,
                        latency, local_port, dscp, ttl, interface, reconnect, key, network, name, pcap, packet_log))]
    #[allow(
        clippy::too_many_arguments,
        clippy::needless_pass_by_value,
        reason = "keywords of one Python call"
    )]
    fn new(
        py: Python<'_>,
        protocol: &str,
        host: String,
        port: u16,
        size: f64,
        rate: u32,
        channels: u16,
        input: &str,
        output: Option<&str>,
        wire: &str,
        codec: &str,
        bitrate: u32,
        fec: bool,
        dred: f64,
        ptime: Option<f64>,
        redundancy: &str,
        spacing: u8,
        host_api: Option<String>,
        latency: &str,
        local_port: u16,
        dscp: u8,
        ttl: u8,
        interface: Option<String>,
        reconnect: f64,
        key: Option<String>,
        network: Option<String>,
        name: Option<String>,
        pcap: Option<PathBuf>,
        packet_log: Option<PathBuf>,
    ) -> PyResult<Self> {
        logging::open(py)?;
        let config = || -> Result<ClientConfig> {
            let reconnect = Duration::try_from_secs_f64(reconnect).map_err(|_| {
                Error::config(format!("reconnect must be seconds, 0 or more, not {reconnect}"))
            })?;
            let ptime = ptime.map(|ms| milliseconds("ptime", ms)).transpose()?;
            let dred = milliseconds("dred", dred)?;
            let block = BlockSize::from_ms(size)?;
            let protocol = Protocol::parse(protocol)?;
            let wire = Wire::parse(wire)?.ok_or_else(|| {
                Error::config("wire must be 'rtp' or 'classic' on a client: 'auto' is the server's")
            })?;
            let audio = Audio {
                format: Format::new(rate, channels)?,
                block,
                host_api,
                latency: Latency::parse(latency)?,
            };
            let path = Path { protocol, host, port, local_port, dscp, ttl, interface, reconnect };
            let key = read_key(key)?;
            let network = network.as_deref().map(traces::network).transpose()?;
            Ok(ClientConfig {
                audio,
                path,
                input: Input::parse(input)?,
                output: output.map(Output::parse).transpose()?,
                wire,
                codec: Coding::parse(codec)?,
                bitrate,
                fec,
                dred,
                ptime,
                redundancy: Redundancy::parse(redundancy)?,
                spacing,
                key,
                network,
                pcap,
                name,
            })
        };
        let config = config().map_err(|error| to_python(py, &error))?;
        let (protocol, wire, channels) = (config.path.protocol, config.wire, config.audio.format.channels());
        let identity = match wire {
            Wire::Rtp => Identity::from_random(RandomState::new().hash_one(0u8)),
            Wire::Classic => Identity::from_random(0),
        };
        let made = py.detach(|| client::Client::new(config, identity, packet_log.as_deref()));
        Ok(Self { held: Held::new(made.map_err(|error| to_python(py, &error))?), protocol, wire, channels })
    }

    fn open_audio(&self, py: Python<'_>) -> PyResult<()> {
        self.held.call_long(py, |_| {}, client::Client::open_audio)
    }

    fn open_socket(&self, py: Python<'_>) -> PyResult<()> {
        self.held.call_long(py, client::Client::cancel, client::Client::open_socket)
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        logging::open(py)?;
        self.held.call_long(py, client::Client::cancel, client::Client::start)
    }

    fn send_one(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let sent = self.held.wait(py, timeout, |client, slice| {
            let sent = client.send_one(slice)?;
            Ok((sent || client.wait(Duration::ZERO)?).then_some(sent))
        })?;
        Ok(sent.unwrap_or(false))
    }

    fn push(&self, py: Python<'_>, sound: &[u8], timeout: f64) -> PyResult<usize> {
        let samples: Vec<i16> = sound.as_chunks().0.iter().map(|pair| i16::from_ne_bytes(*pair)).collect();
        let channels = self.channels;
        let mut done = 0;
        self.held.wait(py, timeout, |client, slice| {
            done += client.push(&samples[done * channels..], slice)?;
            Ok((done * channels >= samples.len()).then_some(()))
        })?;
        Ok(done)
    }

    fn pushed(&self, py: Python<'_>) -> PyResult<(usize, usize)> {
        self.held.call(py, client::Client::pushed)
    }

    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let ended = self.held.wait(py, timeout, |client, slice| Ok(client.wait(slice)?.then_some(())))?;
        Ok(ended.is_some())
    }

    #[pyo3(signature = (folder, frames, what))]
    fn start_recording(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        frames: Option<u64>,
        what: String,
    ) -> PyResult<PathBuf> {
        self.held.call(py, move |client| client.start_recording(Side::parse(&what)?, &folder, frames))
    }

    #[pyo3(signature = (filename))]
    fn stop_recording<'py>(
        &self,
        py: Python<'py>,
        filename: Option<String>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let recorded = self.held.call(py, move |client| client.stop_recording(filename.as_deref()))?;
        recorded.map(|recorded| recorded_dict(py, &recorded)).transpose()
    }

    fn recording_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.held.call(py, |client| Ok(client.recording_state()))?;
        state_dict(py, &state)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, ssrc) = self.held.call(py, |client| Ok((client.stats(), client.ssrc())))?;
        let dict = PyDict::new(py);
        dict.set_item("packets_sent", stats.packets_sent)?;
        dict.set_item("copies_sent", stats.copies_sent)?;
        dict.set_item("bytes_sent", stats.bytes_sent)?;
        dict.set_item("frames_captured", stats.frames_captured)?;
        dict.set_item("frames_dropped", stats.frames_dropped)?;
        dict.set_item("overruns", stats.overruns)?;
        dict.set_item("reconnects", stats.reconnects)?;
        dict.set_item("packets_unauthentic", stats.unauthentic)?;
        dict.set_item("pcap_dropped", stats.pcap_dropped)?;
        dict.set_item("packets_unheard", stats.unheard)?;
        let received = stats.received.as_ref();
        dict.set_item("received", received.map(|received| source_dict(py, received)).transpose()?)?;
        dict.set_item("next_sequence", stats.next_sequence)?;
        dict.set_item("level_db", stats.level_db)?;
        dict.set_item("ssrc", ssrc)?;
        dict.set_item("protocol", self.protocol.name())?;
        dict.set_item("wire", self.wire.name())?;
        dict.set_item("remote", stats.remote.map(|remote| remote_dict(py, &remote)).transpose()?)?;
        Ok(dict)
    }

    fn take_reports<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let reports = self.held.call(py, |client| Ok(client.take_reports()))?;
        reports.iter().map(|report| report_dict(py, report)).collect()
    }

    fn end_sound(&self, py: Python<'_>) -> PyResult<()> {
        self.held.call(py, |client| {
            client.end_sound();
            Ok(())
        })
    }

    fn set_gain(&self, py: Python<'_>, gain: f32) -> PyResult<()> {
        self.held.call(py, move |client| client.set_gain(gain))
    }

    fn set_mute(&self, py: Python<'_>, mute: bool) -> PyResult<()> {
        self.held.call(py, move |client| {
            client.set_muted(mute);
            Ok(())
        })
    }

    fn sdp(&self, py: Python<'_>, key: bool) -> PyResult<String> {
        self.held.call_long(py, client::Client::cancel, move |client| client.sdp(key))
    }

    fn destination(&self, py: Python<'_>) -> PyResult<(String, u16)> {
        self.held.call(py, |client| Ok((client.path().host.clone(), client.path().port)))
    }

    fn local_address(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.held.call(py, |client| Ok(client.addresses().map(|(local, _)| local.to_string())))
    }

    fn input_name(&self, py: Python<'_>) -> PyResult<String> {
        self.held.call(py, |client| Ok(client.input_name()))
    }

    fn output_name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.held.call(py, |client| Ok(client.output_name()))
    }

    fn close(&self, py: Python<'_>, drain: bool) -> PyResult<()> {
        self.held.call(py, move |client| client.close(drain))
    }
}

fn remote_dict<'py>(py: Python<'py>, remote: &RemoteStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("round_trip_ms", remote.round_trip_ms)?;
    dict.set_item("fraction_lost", remote.fraction_lost)?;
    dict.set_item("packets_lost", remote.packets_lost)?;
    dict.set_item("jitter_ms", remote.jitter_ms)?;
    dict.set_item("reports", remote.reports)?;
    dict.set_item("age_ms", remote.age_ms)?;
    let voice = remote.voice;
    dict.set_item("discard_rate", voice.map(|voice| voice.discard_rate))?;
    dict.set_item("burst_density", voice.map(|voice| voice.burst_density))?;
    dict.set_item("burst_ms", voice.map(|voice| voice.burst_ms))?;
    dict.set_item("gap_density", voice.map(|voice| voice.gap_density))?;
    dict.set_item("gap_ms", voice.map(|voice| voice.gap_ms))?;
    dict.set_item("delay_ms", voice.map(|voice| voice.delay_ms))?;
    dict.set_item("r_factor", voice.and_then(|voice| voice.r_factor))?;
    dict.set_item("mos", voice.and_then(|voice| voice.mos))?;
    Ok(dict)
}

/// The duration that the argument `name` gives in milliseconds, fractions kept.
pub fn milliseconds(name: &str, ms: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(ms / 1e3)
        .map_err(|_| Error::config(format!("{name} must be milliseconds, 0 or more, not {ms}")))
}
