//! The server as Python sees it.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::client::milliseconds;
use super::error::to_python;
use super::frames::Frames;
use super::gateway::{Close, Held};
use super::key::read_key;
use super::logging;
use super::recording::{recorded_dict, state_dict};
use super::stats::{Figures, server_dict, source_dict};
use crate::engine::config::{
    Audio, BlockSize, DEFAULT_PORT, Input, Latency, Output, ServerConfig, Transports, Wire,
};
use crate::engine::error::Result;
use crate::engine::networks::Networks;
use crate::engine::playout::tap::Whose;
use crate::engine::record::traces;
use crate::engine::session::events::Event;
use crate::engine::session::forwarding;
use crate::engine::session::frames::Wanted;
use crate::engine::session::place::{self, Listening, Told};
use crate::engine::session::server;
use crate::engine::wire::event::name;

/// Hears senders, plays them, counts them, records them. `audiostream.AdvancedAudioServer` is what users see.
#[pyclass(frozen, module = "audiostream._engine")]
pub struct Server {
    held: Held<server::Server>,
    protocol: Transports,
    wire: Option<Wire>,
    port: u16,
    rate: u32,
    channels: usize,
    recordings: PathBuf,
    record: Option<Record>,
}

/// What is recorded from the start.
#[derive(Clone)]
enum Record {
    Mix(Option<String>),
    Each,
}

/// Kind, seconds ago, the source's number, detail.
type EventTuple = (&'static str, f64, u32, String, Option<(String, f64)>);

impl Close for server::Server {
    fn close(&self, drain: bool) -> Result<()> {
        self.close(drain)
    }
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (*, protocol, port, size, rate, channels, bind, sdp, wire, output, host_api, latency, delay, min_delay,
                        max_delay, max_sources, forward, allow, key, spare_key, keep_listening, record, record_each, record_name, recordings, network, name, quality, talk, conference,
                        pcap, packet_log))]
    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        clippy::needless_pass_by_value,
        reason = "keywords of one Python call"
    )]
    fn new(
        py: Python<'_>,
        protocol: &str,
        port: u16,
        size: f64,
        rate: Option<u32>,
        channels: Option<u16>,
        bind: Option<String>,
        sdp: Option<String>,
        wire: &str,
        output: &str,
        host_api: Option<String>,
        latency: &str,
        delay: Option<f64>,
        min_delay: f64,
        max_delay: f64,
        max_sources: usize,
        forward: Vec<String>,
        allow: Vec<String>,
        key: Option<String>,
        spare_key: Option<String>,
        keep_listening: bool,
        record: bool,
        record_each: bool,
        record_name: Option<String>,
        recordings: PathBuf,
        network: Option<String>,
        name: Option<String>,
        quality: bool,
        talk: Option<&str>,
        conference: bool,
        pcap: Option<PathBuf>,
        packet_log: Option<PathBuf>,
    ) -> PyResult<Self> {
        logging::open(py)?;
        let talk = talk.map(Input::parse).transpose().map_err(|error| to_python(py, &error))?;
        let config = || -> Result<ServerConfig> {
            let block = BlockSize::from_ms(size)?;
            // Python cannot tell a default from the same value given: both give way.
            let protocol = Some(Transports::parse(protocol)?).filter(|&protocol| protocol != Transports::Udp);
            let port = Some(port).filter(|&port| port != DEFAULT_PORT);
            let wire = Wire::parse(wire)?;
            let (key, spare_key) = (read_key(key)?, read_key(spare_key)?);
            let told = Told { protocol, bind, port, wire, rate, channels, key, spare_key };
            let description = sdp.as_deref().map(place::description).transpose()?;
            let Listening { protocol, bind, port, wire, format, payloads, key } =
                Listening::new(told, description.as_ref())?;
            let audio = Audio { format, block, host_api, latency: Latency::parse(latency)? };
            let output = Output::parse(output)?;
            let delay = delay.map(|ms| milliseconds("delay", ms)).transpose()?;
            let (min_delay, max_delay) =
                (milliseconds("min_delay", min_delay)?, milliseconds("max_delay", max_delay)?);
            Ok(ServerConfig {
                audio,
                protocol,
                bind,
                port,
                wire,
                payloads,
                output,
                delay,
                min_delay,
                max_delay,
                max_sources,
                forward: forward.iter().map(|to| forwarding::parse(to)).collect::<Result<_>>()?,
                allow: Networks::parse(&allow)?,
                key,
                keep_listening,
                network: network.as_deref().map(traces::network).transpose()?,
                name,
                pcap,
                quality,
                talk,
                conference,
            })
        };
        let config = py.detach(config).map_err(|error| to_python(py, &error))?;
        let (protocol, port, wire, format) = (config.protocol, config.port, config.wire, config.audio.format);
        let made = py.detach(|| server::Server::new(config, packet_log.as_deref()));
        let held = Held::new(made.map_err(|error| to_python(py, &error))?);
        Ok(Self {
            held,
            protocol,
            wire,
            port,
            rate: format.rate(),
            channels: format.channels(),
            recordings,
            record: if record_each { Some(Record::Each) } else { record.then_some(Record::Mix(record_name)) },
        })
    }

    fn settings(&self) -> (&'static str, u16, u32, usize) {
        (self.protocol.name(), self.port, self.rate, self.channels)
    }

    fn open_socket(&self, py: Python<'_>) -> PyResult<()> {
        self.held.call_long(py, |_| {}, server::Server::open_socket)
    }

    fn open_audio(&self, py: Python<'_>) -> PyResult<()> {
        self.held.call_long(py, |_| {}, server::Server::open_audio)
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        logging::open(py)?;
        let (folder, record) = (self.recordings.clone(), self.record.clone());
        self.held.call_long(
            py,
            |_| {},
            move |server| {
                // Before the first packet can be taken.
                match record.filter(|_| !server.is_started()) {
                    Some(Record::Mix(name)) => _ = server.start_recording(&folder, name.as_deref())?,
                    Some(Record::Each) => server.record_each(&folder)?,
                    None => {}
                }
                server.start()
            },
        )
    }

    fn wait_packet(&self, py: Python<'_>, seen: u64, timeout: f64) -> PyResult<u64> {
        let mut packets = seen;
        self.held.wait(py, timeout, |server, slice| {
            packets = server.wait_packet(seen, slice)?;
            Ok((packets > seen || server.wait(Duration::ZERO)?).then_some(()))
        })?;
        Ok(packets)
    }

    fn has_ended(&self, py: Python<'_>) -> PyResult<bool> {
        self.held.call(py, |server| server.wait(Duration::ZERO))
    }

    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let ended = self.held.wait(py, timeout, |server, slice| Ok(server.wait(slice)?.then_some(())))?;
        Ok(ended.is_some())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, last, tier) =
            self.held.call(py, |server| Ok((server.stats(), server.last_sequence(), server.tier())))?;
        let figures =
            Figures { stats: &stats, last, tier, protocol: self.protocol, wire: self.wire, rate: self.rate };
        server_dict(py, &figures)
    }

    #[pyo3(signature = (cursor, timeout))]
    fn events(
        &self,
        py: Python<'_>,
        cursor: Option<u64>,
        timeout: f64,
    ) -> PyResult<(Vec<EventTuple>, Option<u64>, bool)> {
        let told = self.held.wait(py, timeout, |server, slice| {
            let (told, now) = server.events(cursor, slice);
            Ok((told.ended || !told.events.is_empty()).then_some((told, now)))
        })?;
        let Some((told, now)) = told else { return Ok((Vec::new(), cursor, false)) };
        let ago = |Event { kind, at, source, detail, digit }: Event| {
            let digit = digit.map(|digit| (name(digit.code), digit.duration.as_secs_f64()));
            (kind.name(), now.since(at).as_secs_f64(), source, detail, digit)
        };
        Ok((told.events.into_iter().map(ago).collect(), Some(told.next), told.ended))
    }

    fn sources(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        self.held.call(py, |server| Ok(server.sources()))
    }

    fn source_stats<'py>(&self, py: Python<'py>, number: u32) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = self.held.call(py, move |server| Ok(server.source_stats(number)))?;
        stats.map(|stats| source_dict(py, &stats)).transpose()
    }

    fn source_set_gain(&self, py: Python<'_>, number: u32, gain: f32) -> PyResult<()> {
        self.held.call(py, move |server| server.source_set_gain(number, gain))
    }

    fn source_set_muted(&self, py: Python<'_>, number: u32, muted: bool) -> PyResult<()> {
        self.held.call(py, move |server| server.source_set_muted(number, muted))
    }

    #[pyo3(signature = (number, name))]
    fn source_record(&self, py: Python<'_>, number: u32, name: Option<String>) -> PyResult<PathBuf> {
        let folder = self.recordings.clone();
        self.held.call(py, move |server| server.source_record(number, &folder, name.as_deref()))
    }

    fn source_stop_recording<'py>(
        &self,
        py: Python<'py>,
        number: u32,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let recorded = self.held.call(py, move |server| server.source_stop_recording(number))?;
        recorded.map(|recorded| recorded_dict(py, &recorded)).transpose()
    }

    fn source_recording<'py>(&self, py: Python<'py>, number: u32) -> PyResult<Bound<'py, PyDict>> {
        let state = self.held.call(py, move |server| Ok(server.source_recording(number)))?;
        state_dict(py, &state)
    }

    #[pyo3(signature = (source, each, raw, length, queue))]
    fn frames(
        &self,
        py: Python<'_>,
        source: Option<u32>,
        each: bool,
        raw: bool,
        length: usize,
        queue: usize,
    ) -> PyResult<Frames> {
        let whose = match source {
            Some(number) => Whose::Source(number),
            None if each => Whose::Each,
            None => Whose::Mix,
        };
        let wanted = Wanted { whose, raw, length, queue };
        Ok(Frames::new(self.held.call(py, move |server| server.frames(wanted))?))
    }

    #[pyo3(signature = (folder, name))]
    fn start_recording(&self, py: Python<'_>, folder: PathBuf, name: Option<String>) -> PyResult<PathBuf> {
        self.held.call(py, move |server| server.start_recording(&folder, name.as_deref()))
    }

    fn stop_recording<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let recorded = self.held.call(py, server::Server::stop_recording)?;
        recorded.map(|recorded| recorded_dict(py, &recorded)).transpose()
    }

    fn recording_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.held.call(py, |server| Ok(server.recording_state()))?;
        state_dict(py, &state)
    }

    fn set_gain(&self, py: Python<'_>, gain: f32) -> PyResult<()> {
        self.held.call(py, move |server| server.set_gain(gain))
    }

    fn set_mute(&self, py: Python<'_>, mute: bool) -> PyResult<()> {
        self.held.call(py, move |server| server.set_muted(mute))
    }

    #[pyo3(signature = (least, most, fixed))]
    fn set_delay(&self, py: Python<'_>, least: f64, most: f64, fixed: Option<f64>) -> PyResult<()> {
        self.held.call(py, move |server| {
            let fixed = fixed.map(|ms| milliseconds("delay", ms)).transpose()?;
            server.set_delay(milliseconds("min_delay", least)?, milliseconds("max_delay", most)?, fixed)
        })
    }

    fn delay_histogram(&self, py: Python<'_>, place: usize) -> PyResult<Vec<(f64, f64)>> {
        let bars = self.held.call(py, move |server| Ok(server.delay_histogram(place)))?;
        Ok(bars.iter().map(|bar| (bar.below.as_secs_f64() * 1e3, bar.share)).collect())
    }

    fn local_address(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.held.call(py, |server| Ok(server.local_address().map(|address| address.to_string())))
    }

    fn output_name(&self, py: Python<'_>) -> PyResult<String> {
        self.held.call(py, |server| Ok(server.output_name()))
    }

    fn close(&self, py: Python<'_>, drain: bool) -> PyResult<()> {
        self.held.call(py, move |server| server.close(drain))
    }
}
