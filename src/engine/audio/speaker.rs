//! A speaker as a port: the device's callback pulls the render.

use std::sync::{Arc, Mutex, PoisonError};

use assert_no_alloc::assert_no_alloc;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, SampleFormat};

use crate::engine::config::Audio;
use crate::engine::error::{Error, Result};
use crate::engine::playout::render::{Render, Starved};
use crate::engine::time::Clock;

use super::convert::{Outlet, Sample};
use super::device::{Purpose, trouble};
use super::health::Beat;
use super::microphone::{BUILD_LIMIT, Finder};
use super::plan::{Plan, plan};
use super::watch::{Facts, Opened, Port};

/// The playing end of a device.
pub(super) struct Speaker {
    finder: Finder,
    audio: Audio,
    clock: Clock,
    render: Arc<Mutex<Option<Box<dyn Render>>>>,
}

impl Speaker {
    pub(super) fn new(finder: Finder, audio: &Audio, clock: Clock, render: Box<dyn Render>) -> Self {
        Self { finder, audio: audio.clone(), clock, render: Arc::new(Mutex::new(Some(render))) }
    }
}

impl Port for Speaker {
    fn build(&mut self, beat: Beat, growth: u32) -> Result<Opened> {
        let (device, lease) = (self.finder)()?;
        let plan = plan(&device, Purpose::Play, &self.audio, growth)?;
        let beat = if plan.may_promote { beat } else { beat.without_promotion() };
        let errors = beat.clone();
        let outlet = Outlet::new(plan.layout, self.audio.format)?;
        let extra = outlet.appetite();
        let player = Player { beat, outlet, render: self.render.clone(), clock: self.clock };
        let stream = player.build(&device, &plan, errors)?;
        let block_frames = plan.stream_frames(stream.buffer_size().ok(), self.audio.format) + extra;
        let facts = Facts { description: plan.description, block_frames, may_grow: plan.may_grow };
        Ok(Opened { stream, lease, facts })
    }

    fn lost(&mut self) {
        drop(self.render.lock());
    }

    fn close(&mut self) {
        *self.render.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The callback's own.
struct Player {
    beat: Beat,
    outlet: Outlet,
    render: Arc<Mutex<Option<Box<dyn Render>>>>,
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
        if self.beat.begin()
            // Nobody else holds it but a stream that was given up within its last call.
            && let Ok(mut render) = self.render.try_lock()
            && let Some(render) = render.as_mut()
        {
            let now = self.clock.now();
            self.outlet.pull(out, |sound| {
                render.render(now, sound, Starved::Advance);
            });
        } else {
            out.fill(S::from_float(0.0));
        }
    }
}
