//! What a client hears is overheard: recorded by itself, and beside what it says.
//!
//! Two clocks are at work, the microphone's and the speaker's. What lies side by side in a two-channel recording is what the
//! microphone delivered and what the speaker was given to play at the same moment of the machine's clock, to within
//! [`TOLERANCE`] once both run. Where the cards' clocks drift apart, the heard side leaves out, or repeats, that much at a time; it never
//! changes how long the recording is: that is the microphone's to say.
//!
//! Guaranteed: nothing here allocates after construction, locks or logs.
//!
//! Not guaranteed: what the devices hold back themselves, before the microphone's sound is delivered and after the speaker's is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::timed::Timed;
use crate::engine::format::{Format, to_i16};
use crate::engine::playout::render::{Render, Starved};
use crate::engine::record::tap::TapWriter;
use crate::engine::time::{Clock, Micros};

/// What is played passes through here.
pub struct Overheard {
    tap: TapWriter,
    ring: Producer<i16>,
    moment: Arc<Moment>,
    channels: usize,
    /// The call that is under way: pieces of one call have one time.
    call: (Micros, u64),
    pcm: Box<[i16]>,
}

/// The speaker's last call.
#[derive(Debug, Default)]
struct Moment {
    at: AtomicU64,
    frames: AtomicU64,
    /// The ring was full: what it holds is old.
    stale: AtomicBool,
}

/// The microphone's end: puts what is captured beside what is heard meanwhile.
pub struct Beside {
    tap: TapWriter,
    ring: Consumer<i16>,
    moment: Arc<Moment>,
    clock: Clock,
    format: Format,
    /// How far what is taken next lies before what is heard now, frames, smoothed. `None` before it is known.
    off: Option<f64>,
    /// Frames that are put in before more is taken.
    owed: usize,
    /// What was taken last, to be repeated.
    last: Box<[i16]>,
    last_at: usize,
    pairs: Box<[i16]>,
}

impl Overheard {
    /// Records sound of `format` to `heard`, and, beside what the microphone gives to the other, to `both`.
    pub fn new(format: Format, clock: Clock, heard: TapWriter, both: TapWriter) -> (Self, Beside) {
        let channels = format.channels();
        let (ring, taken) = RingBuffer::new(format.rate() as usize * channels);
        let moment = Arc::new(Moment::default());
        let call = (Micros::ZERO, 0);
        let pcm = vec![0; STRIDE * channels].into();
        let overheard = Self { tap: heard, ring, moment: Arc::clone(&moment), channels, call, pcm };
        let beside = Beside {
            tap: both,
            ring: taken,
            moment,
            clock,
            format,
            off: None,
            owed: 0,
            last: vec![0; format.frames(TOLERANCE)].into(),
            last_at: 0,
            pairs: vec![0; STRIDE * 2].into(),
        };
        (overheard, beside)
    }

    /// What plays `render` and overhears it.
    pub fn around(self, render: Timed) -> impl Render {
        Through { render, overheard: self }
    }

    fn take(&mut self, now: Micros, sound: &[f32]) {
        if now != self.call.0 {
            self.call = (now, 0);
        }
        self.call.1 += (sound.len() / self.channels) as u64;
        for piece in sound.chunks(self.pcm.len()) {
            let pcm = &mut self.pcm[..piece.len()];
            for (to, from) in pcm.iter_mut().zip(piece) {
                *to = to_i16(*from);
            }
            self.tap.push(pcm);
            if self.ring.push_entire_slice(pcm).is_err() {
                self.moment.stale.store(true, Relaxed);
            }
        }
        self.moment.at.store(now.0, Relaxed);
        self.moment.frames.store(self.call.1, Relaxed);
    }
}

/// A render that is overheard.
struct Through {
    render: Timed,
    overheard: Overheard,
}

impl Render for Through {
    fn render(&mut self, now: Micros, out: &mut [f32], starved: Starved) -> usize {
        let sound = self.render.render(now, out, starved);
        // For an ear time goes on, whatever comes; for a file it stands still.
        let frames = if starved == Starved::Advance { out.len() } else { sound * self.overheard.channels };
        self.overheard.take(now, &out[..frames]);
        sound
    }
}

impl Beside {
    /// Takes what was captured until now, in the stream's format.
    pub fn push(&mut self, samples: &[i16]) {
        self.push_at(samples, self.clock.now());
    }

    fn push_at(&mut self, samples: &[i16], now: Micros) {
        let channels = self.format.channels();
        self.align(samples.len() / channels, now);
        for piece in samples.chunks(STRIDE * channels) {
            let frames = piece.len() / channels;
            for (n, frame) in piece.chunks_exact(channels).enumerate() {
                self.pairs[2 * n] = middle(frame);
                self.pairs[2 * n + 1] = self.next();
            }
            self.tap.push(&self.pairs[..2 * frames]);
        }
    }

    /// Sees to it that the next `frames` frames are those heard until `now`.
    fn align(&mut self, frames: usize, now: Micros) {
        let channels = self.format.channels();
        if self.moment.stale.swap(false, Relaxed) {
            self.skip(self.ring.slots() / channels);
            self.off = None;
        }
        // What is in the ring was given to the speaker; of the last call a part is not heard yet, or all of it and more is due.
        let waiting = self.ring.slots() / channels + self.owed;
        let (at, last) = (self.moment.at.load(Relaxed), self.moment.frames.load(Relaxed));
        let passed = self.format.frames(now.since(Micros(at)).min(LONGEST)) as f64;
        let off = waiting as f64 - last as f64 + passed - frames as f64;
        let most = self.format.frames(TOLERANCE) as f64;
        let smooth = match self.off {
            Some(before) if (off - before).abs() < self.format.frames(ASTRAY) as f64 => {
                let weight = frames as f64 / self.format.frames(MEMORY) as f64;
                before + (off - before) * weight.min(1.0)
            }
            _ => off,
        };
        let sync = self.off.is_none() || smooth.abs() > most;
        self.off = Some(if sync { 0.0 } else { smooth });
        if sync && smooth > 0.0 {
            self.skip(smooth as usize);
        } else if sync {
            self.owed = (self.owed + (-smooth) as usize).min(self.format.rate() as usize);
        }
    }

    fn skip(&mut self, frames: usize) {
        let paid = frames.min(self.owed);
        self.owed -= paid;
        let channels = self.format.channels();
        let count = ((frames - paid) * channels).min(self.ring.slots() / channels * channels);
        if let Ok(chunk) = self.ring.read_chunk(count) {
            chunk.commit_all();
        }
    }

    /// The next heard frame, as one channel.
    fn next(&mut self) -> i16 {
        let channels = self.format.channels();
        let sample = if self.owed > 0 {
            self.owed -= 1;
            self.last[self.last_at]
        } else {
            let mut frame = [0; 2];
            for sample in &mut frame[..channels] {
                *sample = self.ring.pop().unwrap_or(0);
            }
            middle(&frame[..channels])
        };
        self.last[self.last_at] = sample;
        self.last_at = (self.last_at + 1) % self.last.len();
        sample
    }
}

/// One channel of one or two.
fn middle(frame: &[i16]) -> i16 {
    let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
    (sum / frame.len().max(1) as i32) as i16
}

/// What lies side by side is heard and said no further apart than this, but for what devices hold.
const TOLERANCE: Duration = Duration::from_millis(3);
/// Over so long the callbacks' jitter is averaged.
const MEMORY: Duration = Duration::from_millis(500);
/// Further off than this, something has stood still.
const ASTRAY: Duration = Duration::from_millis(50);
/// The longest time since the speaker's last call that is reckoned with.
const LONGEST: Duration = Duration::from_millis(500);
/// Frames handled at once.
const STRIDE: usize = 512;

#[cfg(test)]
#[path = "overheard_tests.rs"]
mod tests;
