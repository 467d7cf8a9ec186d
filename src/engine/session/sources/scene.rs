//! A stage for tests: a server without sockets, in virtual time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Sources;
use crate::engine::config::{Output, ServerConfig};
use crate::engine::format::Format;
use crate::engine::playout::conceal::Tier;
use crate::engine::playout::render::{Render, Renderer, Starved};
use crate::engine::record::assembly::{Assembly, Tape};
use crate::engine::session::reporting::Letter;
use crate::engine::stats::SourceStats;
use crate::engine::stream::queue::{PacketReader, packet_queue};
use crate::engine::time::Micros;
use crate::engine::wire::rtcp::{write_description, write_goodbye, write_receiver_report};
use crate::engine::wire::rtp::RtpHeader;

pub const MS: Duration = Duration::from_millis(1);
pub const SSRC: u32 = 77;
pub const RATE: u64 = 44_100;

/// A server without sockets, its recorder and its speaker.
pub struct Scene {
    pub sources: Sources,
    pub now: Micros,
    began: Micros,
    renderer: Renderer,
    recorder: PacketReader,
    assembly: Assembly,
    pub tape: Reel,
    pub heard: Vec<f32>,
    out: Vec<f32>,
    pub said: Vec<Letter>,
}

#[derive(Default)]
pub struct Reel {
    pub sound: Vec<i16>,
    pub frames: u64,
}

impl Tape for Reel {
    fn sound(&mut self, samples: &[i16]) {
        self.sound.extend_from_slice(samples);
        self.frames += samples.len() as u64;
    }

    fn silence(&mut self, frames: u64) {
        self.frames += frames;
        // Enough to compare what is short.
        if frames < 1 << 20 {
            self.sound.resize(self.sound.len() + frames as usize, 0);
        }
    }

    fn patch(&mut self, frame: u64, samples: &[i16]) {
        // What is patched is of lately; long silences are not kept.
        let at = self.sound.len() - (self.frames - frame) as usize;
        self.sound[at..at + samples.len()].copy_from_slice(samples);
    }

    fn add(&mut self, frame: u64, samples: &[i16]) {
        let at = self.sound.len() - (self.frames - frame) as usize;
        for (there, sample) in self.sound[at..].iter_mut().zip(samples) {
            *there = there.saturating_add(*sample);
        }
    }
}

impl Scene {
    pub fn new(max_sources: usize) -> Self {
        let config = ServerConfig { max_sources, output: Output::Null, ..ServerConfig::default() };
        let mut sources = Sources::new(config);
        let (mut renderer, roster, _) = Renderer::new(Format::DEFAULT, max_sources, 441, 200 * MS).unwrap();
        renderer.set_tier(Tier::Pitch);
        sources.set_roster(roster);
        let (queue, recorder) = packet_queue(4096, 20 * RATE as usize, 1);
        sources.set_recorder(Some((queue, Arc::new(Mutex::default()))));
        let now = Micros(3_600_000_000);
        Self {
            sources,
            now,
            began: now,
            renderer,
            recorder,
            assembly: Assembly::new(Format::DEFAULT, Duration::from_secs(3)),
            tape: Reel::default(),
            heard: Vec::new(),
            out: vec![0.0; 441],
            said: Vec::new(),
        }
    }

    pub fn hear(&mut self, address: SocketAddr, bytes: &[u8]) {
        self.sources.datagram(address.into(), self.now, bytes);
    }

    /// Ten milliseconds.
    pub fn pass(&mut self) {
        self.said.extend(self.sources.letters(self.now));
        self.sources.sweep(self.now);
        self.renderer.render(self.now, &mut self.out, Starved::Advance);
        self.heard.extend_from_slice(&self.out);
        let Self { recorder, assembly, tape, .. } = self;
        while recorder.pop(|head, samples| assembly.take(head, samples, &[], tape)) {}
        self.now = self.now + 10 * MS;
        assembly.settle(self.now, tape);
    }

    pub fn finish(&mut self) {
        self.sources.finish();
        let Self { recorder, assembly, tape, .. } = self;
        while recorder.pop(|head, samples| assembly.take(head, samples, &[], tape)) {}
        assembly.finish(tape);
    }

    /// Players that the speaker holds.
    pub fn players(&self) -> usize {
        self.renderer.players()
    }

    pub fn elapsed_frames(&self) -> u64 {
        (self.now.since(self.began).as_secs_f64() * RATE as f64) as u64
    }

    pub fn source(&self, address: SocketAddr) -> Option<SourceStats> {
        self.sources.stats().sources.into_iter().find(|source| source.address == address)
    }
}

pub fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 5004))
}

pub fn somewhere(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    SocketAddr::from(([10, b, c, d], 5004))
}

pub fn packet(ssrc: u32, sequence: u16, timestamp: u32, seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    RtpHeader { payload_type: 11, sequence, timestamp, ssrc, ..RtpHeader::default() }.write(&mut bytes);
    for n in 0..441u32 {
        let noise = (timestamp.wrapping_add(n) ^ seed).wrapping_mul(0x9e37_79b9) >> 18;
        bytes.extend_from_slice(&((noise as i16) - 8192).to_be_bytes());
    }
    bytes
}

pub fn good(number: u32) -> Vec<u8> {
    packet(SSRC, number as u16, number * 441, 0)
}

pub fn goodbye(ssrc: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_receiver_report(ssrc, &[], &mut bytes);
    write_description(ssrc, &[(1, "it is me")], &mut bytes);
    write_goodbye(&[ssrc], "", &mut bytes);
    bytes
}
