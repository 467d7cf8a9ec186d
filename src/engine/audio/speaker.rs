//! A speaker as a port: the device's callback pulls the render, and a clock does where it does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assert_no_alloc::assert_no_alloc;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, SampleFormat};

use crate::engine::config::{Audio, Latency};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::playout::render::{Render, Starved};
use crate::engine::time::{Clock, Micros};

use super::Side;
use super::cadence::{Cadence, MOST_AHEAD};
use super::convert::{Layout, Outlet, Sample};
use super::device::{Purpose, trouble};
use super::health::{Beat, Health};
use super::meter::{Meter, rest};
use super::microphone::{BUILD_LIMIT, Finder};
use super::plan::{Plan, plan};
use super::watch::{Facts, Opened, Port, StandIn};

/// The playing end of a device.
pub(super) struct Speaker {
    finder: Finder,
    audio: Audio,
    clock: Clock,
    stage: Arc<Stage>,
}

impl Speaker {
    pub(super) fn new(finder: Finder, audio: &Audio, clock: Clock, render: Box<dyn Render>) -> Self {
        let seat = Seat { render, cadence: Cadence::new(audio.format), format: audio.format };
        let stage = Stage { seat: Mutex::new(Some(seat)), deadline: AtomicU64::new(0) };
        Self { finder, audio: audio.clone(), clock, stage: Arc::new(stage) }
    }
}

impl Speaker {
    /// How far its buffers may make a device be ahead of the clock, besides two blocks.
    fn most_ahead(&self) -> Duration {
        match self.audio.latency {
            Latency::Low => SMALL_BUFFERS,
            Latency::High => MOST_AHEAD,
        }
    }
}

impl Port for Speaker {
    fn side(&self) -> Side {
        Side::Speaker
    }

    fn stand_in(&self) -> Box<dyn StandIn> {
        let frames = self.audio.block.frames(self.audio.format);
        let block = vec![0.0; frames * self.audio.format.channels()].into();
        Box::new(Understudy { stage: self.stage.clone(), block })
    }

    fn build(&mut self, beat: Beat, growth: u32) -> Result<Opened> {
        let (device, lease) = (self.finder)()?;
        let plan = plan(&device, Purpose::Play, &self.audio, growth)?;
        let beat = if plan.may_promote { beat } else { beat.without_promotion() };
        let errors = beat.clone();
        let outlet = Outlet::new(plan.layout, self.audio.format)?;
        let extra = outlet.appetite();
        let meter = Meter::new(self.most_ahead(), self.clock.now());
        let layout = plan.layout;
        let player = Player { beat, outlet, layout, meter, stage: self.stage.clone(), clock: self.clock };
        let stream = player.build(&device, &plan, errors)?;
        let block_frames = plan.stream_frames(stream.buffer_size().ok(), self.audio.format) + extra;
        let facts = Facts { description: plan.description, block_frames, may_grow: plan.may_grow };
        Ok(Opened { stream, lease, facts })
    }

    fn lost(&mut self) {
        drop(self.stage.seat.lock());
    }

    fn close(&mut self) {
        *self.stage.seat.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What callbacks and the clock that stands in for them share.
struct Stage {
    seat: Mutex<Option<Seat>>,
    /// When the clock has to stand in, µs: known without the lock, which the callbacks need.
    deadline: AtomicU64,
}

/// The render, and how far it has come.
struct Seat {
    render: Box<dyn Render>,
    cadence: Cadence,
    format: Format,
}

impl Seat {
    /// Fills `out` for the device.
    fn play(&mut self, now: Micros, out: &mut [f32]) {
        let channels = self.format.channels();
        let frames = out.len() / channels;
        let silent = frames - self.cadence.ask(now, frames);
        let (silence, sound) = out.split_at_mut(silent * channels);
        silence.fill(0.0);
        if !sound.is_empty() {
            self.render.render(now, sound, Starved::Advance);
        }
    }
}

/// The clock that mixes while the speaker does not ask: others hear the mix, too.
struct Understudy {
    stage: Arc<Stage>,
    block: Box<[f32]>,
}

impl StandIn for Understudy {
    fn tick(&mut self, now: Micros, health: &Health) {
        if !health.is_away() && now.0 < self.stage.deadline.load(Ordering::Acquire) {
            return;
        }
        let mut seat = self.stage.seat.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seat { render, cadence, format }) = seat.as_mut() else { return };
        let channels = format.channels();
        let mut left = cadence.overdue(now, health.is_away()) * channels;
        while left > 0 {
            let piece = left.min(self.block.len());
            render.render(now, &mut self.block[..piece], Starved::Advance);
            left -= piece;
        }
        self.stage.deadline.store(cadence.deadline(now).0, Ordering::Release);
    }
}

/// The callback's own.
struct Player {
    beat: Beat,
    outlet: Outlet,
    layout: Layout,
    meter: Meter,
    stage: Arc<Stage>,
    clock: Clock,
}

impl Player {
    fn build(self, device: &cpal::Device, plan: &Plan, errors: Beat) -> Result<cpal::Stream> {
        match plan.sample {
            SampleFormat::I16 => self.build_as::<i16>(device, plan, errors),
            SampleFormat::I32 => self.build_as::<i32>(device, plan, errors),
            SampleFormat::F32 => self.build_as::<f32>(device, plan, errors),
            other => Err(Error::device(format!("the device's sample type {other} is not known here"))),
        }
    }

    fn build_as<S: Sample + cpal::SizedSample>(
        mut self,
        device: &cpal::Device,
        plan: &Plan,
        errors: Beat,
    ) -> Result<cpal::Stream> {
        device
            .build_output_stream_raw(
                plan.config,
                S::FORMAT,
                move |data: &mut Data, _: &_| {
                    assert_no_alloc(|| {
                        if let Some(samples) = data.as_slice_mut::<S>() {
                            self.play(samples);
                        }
                    });
                },
                move |error| errors.fail(error),
                Some(BUILD_LIMIT),
            )
            .map_err(|e| trouble("the output device cannot be opened", &e))
    }

    fn play<S: Sample>(&mut self, out: &mut [S]) {
        if !self.beat.begin() {
            out.fill(S::from_float(0.0));
            return;
        }
        let was_unpaced = self.meter.is_unpaced();
        rest(self.meter.pass(self.clock.now(), self.layout.time_of(out.len())));
        let newly = self.meter.is_unpaced() && !was_unpaced;
        if newly {
            self.beat.unpaced();
        }
        // Nobody else holds it but a stream that was given up within its last call, and the clock that stands in.
        if let Ok(mut seat) = self.stage.seat.try_lock()
            && let Some(seat) = seat.as_mut()
        {
            let now = self.clock.now();
            if newly {
                seat.cadence.unpaced(now);
            }
            self.outlet.pull(out, |sound| seat.play(now, sound));
            self.stage.deadline.store(seat.cadence.deadline(now).0, Ordering::Release);
        } else {
            out.fill(S::from_float(0.0));
        }
    }
}

/// What a device buffers that was asked for a block.
const SMALL_BUFFERS: Duration = Duration::from_millis(300);
