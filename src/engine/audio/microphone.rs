//! A microphone as a port: from the device's callback to the capture's target, gaps filled by the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assert_no_alloc::assert_no_alloc;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, SampleFormat};

use crate::engine::config::Audio;
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::time::{Clock, Micros};

use super::Side;
use super::capture::CaptureTarget;
use super::convert::{Intake, Sample};
use super::device::{Lease, Purpose, trouble};
use super::health::{Beat, Health};
use super::meter::{Meter, rest};
use super::plan::{Plan, plan};
use super::watch::{Facts, Opened, Port, STANDIN_TICK, StandIn};

/// Finds the device anew each time it is called.
pub(super) type Finder = Box<dyn FnMut() -> Result<(cpal::Device, Option<Lease>)> + Send>;

/// The recording end of a device.
pub(super) struct Microphone {
    finder: Finder,
    audio: Audio,
    clock: Clock,
    shared: Arc<Mutex<Delivery>>,
}

impl Microphone {
    pub(super) fn new(finder: Finder, audio: &Audio, clock: Clock, target: Box<dyn CaptureTarget>) -> Self {
        let delivery = Delivery {
            target: Some(target),
            format: audio.format,
            silence: vec![0; SILENCE_FRAMES * audio.format.channels()].into(),
            until: None,
            gap: false,
            settling: None,
            lead: Duration::ZERO,
        };
        Self { finder, audio: audio.clone(), clock, shared: Arc::new(Mutex::new(delivery)) }
    }
}

impl Port for Microphone {
    fn side(&self) -> Side {
        Side::Microphone
    }

    fn stand_in(&self) -> Box<dyn StandIn> {
        Box::new(Hush { shared: self.shared.clone() })
    }

    fn build(&mut self, beat: Beat, growth: u32) -> Result<Opened> {
        let (device, lease) = (self.finder)()?;
        let plan = plan(&device, Purpose::Record, &self.audio, growth)?;
        let beat = if plan.may_promote { beat } else { beat.without_promotion() };
        let errors = beat.clone();
        // Some hand over a block in many pieces, all at once.
        let block = self.audio.format.duration(plan.stream_frames(None, self.audio.format) as u64);
        let listener = Listener {
            beat,
            intake: Intake::new(plan.layout, self.audio.format)?,
            shared: self.shared.clone(),
            clock: self.clock,
            meter: Meter::new(EARLIEST + block * 2, self.clock.now()),
            xruns: 0,
        };
        let stream = listener.build(&device, &plan, errors)?;
        let block_frames = plan.stream_frames(stream.buffer_size().ok(), self.audio.format);
        let lead = self.audio.format.duration(block_frames as u64 * 2);
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lead = lead;
        let facts = Facts { description: plan.description, block_frames, may_grow: plan.may_grow };
        Ok(Opened { stream, lease, facts })
    }

    fn lost(&mut self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).gap = true;
    }

    fn close(&mut self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).target = None;
    }
}

/// Silence while there is no device, whatever opening the next one waits for.
struct Hush {
    shared: Arc<Mutex<Delivery>>,
}

impl StandIn for Hush {
    fn tick(&mut self, now: Micros, health: &Health) {
        if !health.is_away() {
            return;
        }
        let mut delivery = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // The next device may have been heard meanwhile.
        if health.is_away() {
            // Behind by at least what the device that comes back hands over first, and in no hurry to catch up: what
            // listens has room for some blocks, not for all that was missed before the loss was noticed.
            let (until, most) = (now - delivery.lead, delivery.format.frames(STANDIN_TICK * 4));
            delivery.fill_up_to(until, most);
            delivery.gap = true;
        }
    }
}

/// The callback's own.
struct Listener {
    beat: Beat,
    intake: Intake,
    shared: Arc<Mutex<Delivery>>,
    clock: Clock,
    meter: Meter,
    xruns: u64,
}

impl Listener {
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
            .build_input_stream_raw(
                plan.config,
                S::FORMAT,
                move |data: &Data, _: &_| {
                    assert_no_alloc(|| {
                        if let Some(samples) = data.as_slice::<S>() {
                            self.heard(samples);
                        }
                    });
                },
                move |error| errors.fail(error),
                Some(BUILD_LIMIT),
            )
            .map_err(|e| trouble("the input device cannot be opened", &e))
    }

    fn heard<S: Sample>(&mut self, samples: &[S]) {
        if !self.beat.begin() {
            return;
        }
        let length = self.intake.time_of(samples.len());
        let was_unpaced = self.meter.is_unpaced();
        rest(self.meter.pass(self.clock.now(), length));
        if self.meter.is_unpaced() && !was_unpaced {
            self.beat.unpaced();
        }
        // Held by others only while a gap is filled with silence: what is missed here, the next call makes good.
        let Ok(mut delivery) = self.shared.try_lock() else { return };
        let delivery = &mut *delivery;
        let now = self.clock.now();
        let xruns = self.beat.xruns();
        if xruns != self.xruns {
            self.xruns = xruns;
            delivery.gap = true;
        }
        if delivery.gap {
            delivery.fill_up_to(now - length, usize::MAX);
            delivery.gap = false;
            delivery.settling = Some(now + SETTLING);
        }
        let Some(until) = delivery.until_after(now, length) else { return };
        if let Some(target) = &mut delivery.target {
            self.intake.push(samples, |sound| target.captured(sound));
        }
        delivery.until = Some(until);
    }
}

/// What streams that come and go share.
struct Delivery {
    target: Option<Box<dyn CaptureTarget>>,
    format: Format,
    silence: Box<[i16]>,
    /// The moment up to which the target has had sound.
    until: Option<Micros>,
    /// Whether what came before that may not join what comes now.
    gap: bool,
    /// A device that came back may hand over what it has kept for long; until when that is expected.
    settling: Option<Micros>,
    /// How far behind the clock silence is kept while there is no device.
    lead: Duration,
}

impl Delivery {
    /// Up to which moment the target has had sound after a piece of this length at `now`; `None` where silence has been sent in its
    /// place already, and it would only delay all that follows.
    fn until_after(&mut self, now: Micros, length: Duration) -> Option<Micros> {
        if self.settling.is_none_or(|end| now >= end) {
            self.settling = None;
            return Some(now);
        }
        let until = self.until.map_or(now, |until| until + length);
        (until <= now + self.lead + BACKLOG).then_some(until)
    }

    /// Silence for what is missing until `moment`, `most` frames of it.
    fn fill_up_to(&mut self, moment: Micros, most: usize) {
        let Some(until) = self.until else { return };
        let mut frames = self.format.frames(moment.since(until)).min(most);
        if frames == 0 {
            return;
        }
        // Rounded down to whole frames: the fraction stays due.
        self.until = Some(until + self.format.duration(frames as u64));
        while frames > 0 {
            let piece = frames.min(SILENCE_FRAMES);
            if let Some(target) = &mut self.target {
                target.captured(&self.silence[..piece * self.format.channels()]);
            }
            frames -= piece;
        }
    }
}

/// Frames of silence handed over at once.
const SILENCE_FRAMES: usize = 441;
/// How long a device that came back is watched for sound that is old, and how much more than its blocks it may hold.
const SETTLING: Duration = Duration::from_secs(1);
const BACKLOG: Duration = Duration::from_millis(20);
/// How far a microphone may be ahead of the clock: sound that has not been yet cannot be recorded.
const EARLIEST: Duration = Duration::from_millis(250);
/// How long the sound system may take to build a stream.
pub(super) const BUILD_LIMIT: Duration = Duration::from_secs(3);
