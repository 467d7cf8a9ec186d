//! The audio thread's end of a client: hands captured sound to the sender's ring and to the recorder's.
//!
//! Guaranteed: nothing here allocates, locks or logs; a full ring loses the sound that does not fit, and counts it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use rtrb::Producer;

use super::overheard::Beside;
use crate::engine::audio::capture::CaptureTarget;
use crate::engine::format::{to_f32, to_i16};
use crate::engine::net::waker::Waker;
use crate::engine::record::tap::TapWriter;

/// Takes what the microphone delivers.
pub struct Microphone {
    ring: Producer<i16>,
    tap: TapWriter,
    /// Records it beside what is heard.
    beside: Option<Beside>,
    channels: usize,
    shared: Arc<Captured>,
}

/// What is counted and turned while sound is captured.
#[derive(Debug)]
pub struct Captured {
    /// Frames that the source delivered.
    pub frames: AtomicU64,
    /// Frames that found the ring full.
    pub frames_dropped: AtomicU64,
    /// How often it was.
    pub overruns: AtomicU64,
    /// The source is over.
    pub ended: AtomicBool,
    /// Sound goes into the ring.
    pub streaming: AtomicBool,
    /// Silence is sent.
    pub muted: AtomicBool,
    gain: AtomicU32,
    peak: AtomicU32,
    /// Who waits for sound.
    pub reader: OnceLock<Waker>,
}

impl Microphone {
    /// Captures to `ring` and `tap`.
    pub fn new(ring: Producer<i16>, tap: TapWriter, channels: usize, shared: Arc<Captured>) -> Self {
        Self { ring, tap, beside: None, channels, shared }
    }

    /// The same, also recorded beside what is heard.
    #[must_use]
    pub fn beside(self, beside: Option<Beside>) -> Self {
        Self { beside, ..self }
    }

    fn pass(&mut self, samples: &[i16]) {
        self.tap.push(samples);
        if let Some(beside) = &mut self.beside {
            beside.push(samples);
        }
        if !self.shared.streaming.load(Relaxed) {
            return;
        }
        // Whole frames only, so that the channels never change places.
        let room = self.ring.slots() / self.channels * self.channels;
        let taken = samples.len().min(room);
        let _ = self.ring.push_entire_slice(&samples[..taken]);
        if taken < samples.len() {
            self.shared.overruns.fetch_add(1, Relaxed);
            self.shared.frames_dropped.fetch_add(((samples.len() - taken) / self.channels) as u64, Relaxed);
        }
    }

    fn wake(&self) {
        self.shared.wake();
    }
}

impl CaptureTarget for Microphone {
    fn captured(&mut self, samples: &[i16]) {
        self.shared.frames.fetch_add((samples.len() / self.channels) as u64, Relaxed);
        let gain = self.shared.effective_gain();
        if gain.to_bits() == 1.0f32.to_bits() {
            self.shared.meter(samples);
            self.pass(samples);
        } else {
            let mut turned = [0; STRIDE];
            for piece in samples.chunks(STRIDE) {
                for (to, from) in turned.iter_mut().zip(piece) {
                    *to = to_i16(to_f32(*from) * gain);
                }
                self.shared.meter(&turned[..piece.len()]);
                self.pass(&turned[..piece.len()]);
            }
        }
        self.wake();
    }

    fn ended(&mut self) {
        self.shared.ended.store(true, Relaxed);
        self.wake();
    }
}

impl Captured {
    /// Wakes who waits for sound.
    pub fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.wake();
        }
    }

    /// Sets the gain, 1 being as it is.
    pub fn set_gain(&self, gain: f32) {
        self.gain.store(gain.to_bits(), Relaxed);
    }

    /// The loudest sample lately, dBFS; negative infinity for silence.
    pub fn level_db(&self) -> f64 {
        20.0 * f64::from(f32::from_bits(self.peak.load(Relaxed))).log10()
    }

    fn effective_gain(&self) -> f32 {
        if self.muted.load(Relaxed) { 0.0 } else { f32::from_bits(self.gain.load(Relaxed)) }
    }

    fn meter(&self, samples: &[i16]) {
        let held = f32::from_bits(self.peak.load(Relaxed)) * PEAK_DECAY;
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        let peak = held.max(f32::from(peak) / 32_768.0);
        self.peak.store(if peak < 1e-5 { 0 } else { peak.to_bits() }, Relaxed);
    }
}

impl Default for Captured {
    fn default() -> Self {
        Self {
            frames: AtomicU64::new(0),
            frames_dropped: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            gain: AtomicU32::new(1.0f32.to_bits()),
            peak: AtomicU32::new(0),
            reader: OnceLock::new(),
        }
    }
}

/// Samples turned at once; even, so that a stereo frame is never cut.
const STRIDE: usize = 512;
/// The level meter falls by about 20 dB a second at 100 blocks a second.
const PEAK_DECAY: f32 = 0.977;
