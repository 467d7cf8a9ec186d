//! A source of another rate than the output's: it plays at its own, and what comes out is converted.
//!
//! Guaranteed: nothing here allocates after construction. For a file the sound is exactly as long as it was, and in its place.

use std::time::Duration;

use super::conceal::Concealer;
use super::inlet::{Inlet, STRIDE};
use super::live::{self, Live};
use super::whole::Whole;
use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::rate;
use crate::engine::time::Micros;

/// The conversion of one player's sound.
pub struct Abroad {
    format: Format,
    rate: u32,
    way: Way,
    /// Frames of the output's that made no whole frame of the source's, in parts of one.
    rest: u64,
}

enum Way {
    /// What conceals at the source's rate, and what asks it for sound.
    Live {
        convert: Box<rate::Pull>,
        concealer: Box<Concealer>,
        silent: usize,
    },
    Whole(Box<Finished>),
}

/// Converted sound that waits to be given out.
struct Finished {
    run: rate::Run,
    sound: Box<[f32]>,
    ready: Vec<f32>,
    at: usize,
    /// Sound is on its way in the filter.
    owed: bool,
}

impl Abroad {
    /// For an ear.
    pub fn live(format: Format, rate: u32) -> Result<Self> {
        let convert = Box::new(rate::Pull::quick(format.rate(), rate, format.channels())?);
        let concealer = Box::new(Concealer::new(format));
        // As if it had been silent for ever.
        Ok(Self { format, rate, way: Way::Live { convert, concealer, silent: usize::MAX }, rest: 0 })
    }

    /// For a file.
    pub fn whole(format: Format, rate: u32) -> Result<Self> {
        let channels = format.channels();
        let longest = (STRIDE * rate as usize).div_ceil(format.rate() as usize) + MARGIN;
        Ok(Self {
            format,
            rate,
            way: Way::Whole(Box::new(Finished {
                run: rate::Run::new(format.rate(), rate, channels)?,
                sound: vec![0.0; STRIDE * channels].into(),
                ready: Vec::with_capacity(longest * channels),
                at: 0,
                owed: false,
            })),
            rest: 0,
        })
    }

    /// Whether all sound that it took is given out.
    pub fn is_empty(&self) -> bool {
        match &self.way {
            Way::Live { .. } => true,
            Way::Whole(finished) => !finished.owed && finished.at == finished.ready.len(),
        }
    }

    /// So many frames of the output's in frames of the source's; what is over is kept for the next time.
    pub fn at_home(&mut self, frames: usize) -> usize {
        let parts = frames as u64 * u64::from(self.format.rate()) + self.rest;
        self.rest = parts % u64::from(self.rate);
        (parts / u64::from(self.rate)) as usize
    }

    /// As [`Live::play`], at the output's rate.
    pub fn play_live(
        &mut self,
        live: &mut Live,
        inlet: &mut Inlet,
        pull: &mut live::Pull<'_>,
        out: &mut [f32],
    ) -> usize {
        let (format, rate) = (self.format, self.rate);
        let Way::Live { convert, concealer, silent } = &mut self.way else { return 0 };
        let channels = format.channels();
        let at_rate = |frames: usize| Duration::from_micros(frames as u64 * 1_000_000 / u64::from(rate));
        if live.is_idle() && inlet.reader.is_empty() && *silent > format.rate() as usize / 10 {
            out.fill(0.0);
            return 0;
        }
        let block = (pull.block * format.rate() as usize).div_ceil(rate as usize);
        // What is asked for now is heard after what is made already.
        let now = pull.now + at_rate(convert.held());
        let (bounds, tier) = (pull.bounds, pull.tier);
        let mut asked = 0;
        convert.pull(out, |feed| {
            let mut left = feed.len() / channels;
            for piece in feed.chunks_mut(STRIDE * channels) {
                let now = now + format.duration(asked as u64);
                // What a conversion asks for is a multiple of nothing.
                let mut pull = live::Pull { now, block, step: 1, left, bounds, tier, concealer };
                let frames = piece.len() / channels;
                left -= frames;
                asked += frames;
                let sound = live.play(inlet, &mut pull, piece);
                *silent = if sound == 0 { silent.saturating_add(frames) } else { 0 };
            }
        });
        out.len() / channels
    }

    /// As [`Whole::play`], at the output's rate.
    pub fn play_whole(
        &mut self,
        whole: &mut Whole,
        inlet: &mut Inlet,
        now: Micros,
        patience: Duration,
        draining: bool,
        out: &mut [f32],
    ) -> usize {
        let channels = self.format.channels();
        let Way::Whole(finished) = &mut self.way else { return 0 };
        let Finished { run, sound, ready, at, owed } = &mut **finished;
        let mut done = 0;
        while done < out.len() {
            if *at < ready.len() {
                let count = (ready.len() - *at).min(out.len() - done);
                out[done..done + count].copy_from_slice(&ready[*at..*at + count]);
                *at += count;
                done += count;
                continue;
            }
            ready.clear();
            *at = 0;
            let got = whole.play(inlet, now, patience, draining, sound);
            if got > 0 {
                run.push(&sound[..got * channels], &mut |made| ready.extend_from_slice(made));
                *owed = true;
            } else if *owed && (draining || inlet.is_finished()) {
                run.finish(None, &mut |made| ready.extend_from_slice(made));
                *owed = false;
            }
            if got == 0 && ready.is_empty() {
                break;
            }
        }
        done / channels
    }
}

/// More than a conversion gives at once beyond the ratio, frames.
const MARGIN: usize = 1024;
