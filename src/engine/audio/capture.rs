//! The recording end of a client: a microphone, or a built-in source in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::engine::config::{Audio, Input};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Clock;

use super::Notice;
use super::device::{self, Purpose};
use super::microphone::{Finder, Microphone};
use super::pacer::{Ending, Paced, STOP_LIMIT};
use super::push::{PushWriter, push};
use super::source::{self, Source};
use super::watch::Watch;

/// Where captured sound goes.
pub trait CaptureTarget: Send + 'static {
    /// Called on the audio thread with interleaved samples in the stream's format, any count of whole frames.
    /// Must neither block nor allocate.
    fn captured(&mut self, samples: &[i16]);

    /// A finite input is over; nothing comes after it.
    fn ended(&mut self) {}
}

/// An input that is open: silent until started, gone when stopped or dropped.
pub struct Capture {
    end: End,
    ended: Arc<AtomicBool>,
    description: String,
    xruns: u64,
}

enum End {
    Device(Watch),
    Waiting { source: Box<dyn Source>, audio: Audio, target: Box<dyn CaptureTarget>, notices: Sender<Notice> },
    Running(Paced),
    Stopped,
}

impl Capture {
    /// Opens `input` and checks it; no sound flows before [`start`](Self::start).
    pub fn open(
        input: &Input,
        audio: &Audio,
        target: Box<dyn CaptureTarget>,
        notices: Sender<Notice>,
    ) -> Result<Self> {
        let Input::Device(choice) = input else {
            let source = source::make(input, audio)?.ok_or_else(|| Error::config("not a built-in input"))?;
            let end = End::Waiting { source, audio: audio.clone(), target, notices };
            return Ok(Self { end, ended: Arc::default(), description: source::describe(input), xruns: 0 });
        };
        let (host_api, choice) = (audio.host_api.clone(), choice.clone());
        let finder: Finder = Box::new(move || device::find(host_api.as_deref(), &choice, Purpose::Record));
        Self::open_found(finder, audio, target, notices)
    }

    /// Takes what a program writes into a queue that holds so much sound; where it writes comes along.
    pub fn open_push(
        audio: &Audio,
        room: Duration,
        target: Box<dyn CaptureTarget>,
        notices: Sender<Notice>,
    ) -> (Self, PushWriter) {
        let (source, writer) = push(audio.format, room);
        let end = End::Waiting { source: Box::new(source), audio: audio.clone(), target, notices };
        (Self { end, ended: Arc::default(), description: source::describe(&Input::Push), xruns: 0 }, writer)
    }

    /// On the device that `finder` finds, each time anew.
    pub(super) fn open_found(
        finder: Finder,
        audio: &Audio,
        target: Box<dyn CaptureTarget>,
        notices: Sender<Notice>,
    ) -> Result<Self> {
        let clock = Clock::new();
        let port = Microphone::new(finder, audio, clock, target);
        let watch = Watch::open(Box::new(port), clock, notices)?;
        Ok(Self { end: End::Device(watch), ended: Arc::default(), description: String::new(), xruns: 0 })
    }

    /// Lets the sound flow. Called again it does nothing.
    pub fn start(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.end, End::Stopped) {
            End::Device(watch) => {
                let started = watch.start();
                self.end = End::Device(watch);
                started
            }
            End::Waiting { source, audio, target, notices } => {
                let ended = self.ended.clone();
                let paced = Paced::spawn("as-capture", move |halt| {
                    source::run(source, &audio, target, &notices, &ended, &halt);
                })?;
                self.end = End::Running(paced);
                Ok(())
            }
            End::Stopped => Err(Error::new(ErrorKind::State, "the input has been stopped")),
            running @ End::Running(_) => {
                self.end = running;
                Ok(())
            }
        }
    }

    /// Ends it, within two seconds whatever happens. May be called twice.
    pub fn stop(&mut self) {
        match std::mem::replace(&mut self.end, End::Stopped) {
            End::Device(mut watch) => {
                // What is known of the device stays known.
                (self.description, self.xruns) = (watch.facts().description, watch.xruns());
                watch.stop();
            }
            End::Running(mut paced) => {
                paced.stop(Ending::Abrupt, STOP_LIMIT);
            }
            End::Waiting { .. } | End::Stopped => {}
        }
    }

    /// Whether a finite input is over.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// What it records from, for people.
    pub fn description(&self) -> String {
        match &self.end {
            End::Device(watch) => watch.facts().description,
            _ => self.description.clone(),
        }
    }

    /// Times that sound was lost because it was not fetched from the device in time, as far as the system says.
    pub fn xruns(&self) -> u64 {
        match &self.end {
            End::Device(watch) => watch.xruns(),
            _ => self.xruns,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crossbeam_channel::{Receiver, bounded};

    use super::super::Side;
    use super::super::card::Card;
    use super::super::pacer::Halt;
    use super::*;
    use crate::engine::format::Format;

    #[derive(Clone)]
    struct Ear(Arc<Mutex<Vec<i16>>>, Sender<()>);

    impl CaptureTarget for Ear {
        fn captured(&mut self, samples: &[i16]) {
            let mut heard = self.0.lock().unwrap();
            assert!(heard.len() + samples.len() <= heard.capacity());
            heard.extend_from_slice(samples);
        }
        fn ended(&mut self) {
            self.1.send(()).unwrap();
        }
    }

    impl Ear {
        fn new() -> (Self, Receiver<()>) {
            let (tell, told) = bounded(1);
            (Self(Arc::new(Mutex::new(Vec::with_capacity(1 << 20))), tell), told)
        }
        fn heard(&self) -> Vec<i16> {
            self.0.lock().unwrap().clone()
        }
    }

    fn wait(ms: u64) {
        Halt::default().sleep(Duration::from_millis(ms));
    }

    fn open(card: &Card, ear: &Ear) -> (Capture, Receiver<Notice>) {
        let (notices, told) = bounded(64);
        let audio = Audio::default();
        (Capture::open_found(card.finder(), &audio, Box::new(ear.clone()), notices).unwrap(), told)
    }

    /// Runs of the card's counting, as (first value, length); a run of silence has the value 0.
    fn runs(heard: &[i16]) -> Vec<(i16, usize)> {
        let mut runs: Vec<(i16, usize)> = Vec::new();
        for (index, sample) in heard.iter().enumerate() {
            let joins = index > 0
                && (*sample == 0 && heard[index - 1] == 0
                    || *sample != 0
                        && heard[index - 1] != 0
                        && *sample == heard[index - 1].checked_add(1).unwrap_or(1));
            match runs.last_mut() {
                Some(run) if joins => run.1 += 1,
                _ => runs.push((*sample, 1)),
            }
        }
        runs
    }

    #[test]
    fn pieces_of_all_sizes_arrive_whole_and_unchanged() {
        let card = Card::new(44_100, 1, &[1, 440, 3, 882, 17, 2000], 0);
        let (ear, _) = Ear::new();
        let (mut capture, _) = open(&card, &ear);
        wait(50);
        assert!(ear.heard().is_empty(), "a stream starts paused");
        capture.start().unwrap();
        capture.start().unwrap();
        wait(400);
        capture.stop();
        capture.stop();
        let heard = ear.heard();
        assert_eq!(runs(&heard), [(1, heard.len())]);
        assert!(heard.len() > 10_000 && capture.description().contains("Card"));
    }

    #[test]
    fn a_device_of_another_rate_and_channels_is_converted() {
        let card = Card::new(48_000, 2, &[480, 7, 333], 0);
        let (ear, _) = Ear::new();
        let (mut capture, _) = open(&card, &ear);
        capture.start().unwrap();
        wait(500);
        capture.stop();
        let heard = ear.heard();
        assert!((16_000..24_000).contains(&heard.len()), "{}", heard.len());
        // The count, at 48 / 44.1 of its slope.
        let (a, b) = (f64::from(heard[4000]), f64::from(heard[14_000]));
        assert!(((b - a) / 10_000.0 - 48_000.0 / 44_100.0).abs() < 0.001, "{a} {b}");
    }

    #[test]
    fn a_lost_device_leaves_silence_of_the_right_length_and_comes_back() {
        for silently in [false, true] {
            let card = Card::new(44_100, 1, &[441], 0);
            let (ear, _) = Ear::new();
            let (mut capture, told) = open(&card, &ear);
            let clock = Clock::new();
            capture.start().unwrap();
            let start = clock.now();
            wait(200);
            card.unplug(silently);
            // A silent loss is noticed after a second.
            wait(if silently { 1500 } else { 500 });
            let meanwhile = ear.heard().len();
            card.plug();
            wait(1200);
            let took = clock.now().since(start);
            capture.stop();
            let heard = ear.heard();
            let runs = runs(&heard);
            assert_eq!(runs.len(), 3, "{runs:?}");
            assert_eq!(runs[1].0, 0);
            // The silence comes while the device is away, not all at its return.
            assert!(meanwhile > runs[0].1 + 8_000, "{meanwhile} {runs:?}");
            let expected = Format::DEFAULT.frames(took) as i64;
            assert!((heard.len() as i64 - expected).abs() < 2_500, "{} {expected}", heard.len());
            assert_eq!(card.opened(), 2);
            let said: Vec<Notice> =
                told.try_iter().filter(|n| !matches!(n, Notice::PriorityRefused(_))).collect();
            assert!(matches!(said[..], [Notice::DeviceLost { .. }, Notice::DeviceBack { .. }]), "{said:?}");
        }
    }

    #[test]
    fn silence_goes_on_while_opening_the_device_again_hangs() {
        let card = Card::new(44_100, 1, &[441], 0);
        let (hang, released) = bounded::<()>(0);
        let (mut find, mut first) = (card.finder(), true);
        let finder: Finder = Box::new(move || {
            if !std::mem::take(&mut first) {
                let _ = released.recv();
            }
            find()
        });
        let (ear, _) = Ear::new();
        let (notices, _told) = bounded(64);
        let mut capture =
            Capture::open_found(finder, &Audio::default(), Box::new(ear.clone()), notices).unwrap();
        let clock = Clock::new();
        capture.start().unwrap();
        until(|| ear.heard().len() > 4_410);
        card.unplug(false);
        let heard = ear.heard().len();
        // A second and a half of it, while nobody can be asked.
        until(|| ear.heard().len() > heard + 66_150);
        card.plug();
        drop(hang);
        let start = clock.now();
        until(|| ear.heard().last().is_some_and(|sample| *sample != 0));
        until(|| clock.now().since(start) > Duration::from_millis(300));
        capture.stop();
        let runs = runs(&ear.heard());
        assert_eq!((runs.len(), runs[1].0), (3, 0), "{runs:?}");
    }

    #[test]
    fn what_a_device_kept_while_it_was_away_delays_nothing() {
        // It hands over two seconds at once when it is back.
        let card = Card::new(44_100, 1, &[441], 0);
        let (ear, _) = Ear::new();
        let (mut capture, _told) = open(&card, &ear);
        let clock = Clock::new();
        let start = clock.now();
        capture.start().unwrap();
        until(|| ear.heard().len() > 4_410);
        card.unplug(false);
        until(|| ear.heard().last() == Some(&0));
        card.hoard(200);
        card.plug();
        until(|| ear.heard().last().is_some_and(|sample| *sample != 0));
        let back = clock.now();
        until(|| clock.now().since(back) > Duration::from_millis(300));
        let expected = Format::DEFAULT.frames(clock.now().since(start));
        capture.stop();
        let heard = ear.heard().len();
        assert!(heard < expected + 4_410, "{heard} {expected}");
    }

    #[test]
    fn a_microphone_without_any_pace_is_paced_by_the_clock_and_said_once() {
        let card = Card::new(44_100, 1, &[441], 1_000_000_000);
        let (ear, _) = Ear::new();
        let (mut capture, told) = open(&card, &ear);
        let clock = Clock::new();
        let start = clock.now();
        capture.start().unwrap();
        until(|| clock.now().since(start) > Duration::from_millis(1_500));
        capture.stop();
        let most = Format::DEFAULT.frames(clock.now().since(start)) + 22_050;
        assert!(ear.heard().len() < most, "{} {most}", ear.heard().len());
        let said = told.try_iter().filter(|n| *n == Notice::Unpaced(Side::Microphone)).count();
        assert_eq!(said, 1);
    }

    /// Until it is so; fails after 20 s.
    fn until(so: impl Fn() -> bool) {
        let clock = Clock::new();
        let start = clock.now();
        while !so() {
            assert!(clock.now().since(start) < Duration::from_secs(20), "not so after 20 s");
            wait(2);
        }
    }

    #[test]
    fn what_an_overrun_lost_is_silence_of_that_length() {
        let card = Card::new(44_100, 1, &[1764], 0);
        let (ear, _) = Ear::new();
        let (mut capture, _) = open(&card, &ear);
        capture.start().unwrap();
        wait(300);
        card.overrun();
        wait(300);
        assert_eq!(capture.xruns(), 1);
        capture.stop();
        assert_eq!(capture.xruns(), 1);
        let runs = runs(&ear.heard());
        assert_eq!((runs.len(), runs[1].0), (3, 0), "{runs:?}");
        assert!((runs[1].1 as i64 - 1764).abs() < 900, "{runs:?}");
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_when_opened() {
        let card = Card::new(44_100, 1, &[441], 0);
        card.unplug(false);
        let (ear, _) = Ear::new();
        let (notices, _told) = bounded(1);
        let result = Capture::open_found(card.finder(), &Audio::default(), Box::new(ear), notices);
        assert_eq!(result.err().unwrap().kind(), ErrorKind::Device);
    }

    #[test]
    fn built_in_inputs_keep_time_by_whole_blocks() {
        for input in [Input::Tone, Input::Voice, Input::Silence] {
            let (ear, _) = Ear::new();
            let (notices, _told) = bounded(1);
            let mut capture =
                Capture::open(&input, &Audio::default(), Box::new(ear.clone()), notices).unwrap();
            wait(30);
            assert!(ear.heard().is_empty());
            let clock = Clock::new();
            let start = clock.now();
            capture.start().unwrap();
            wait(300);
            capture.stop();
            let heard = ear.heard().len();
            let most = clock.now().since(start).as_millis() as usize / 10;
            assert!(heard.is_multiple_of(441) && (20..=most).contains(&(heard / 441)), "{heard}");
            assert!(!capture.has_ended() && !capture.description().is_empty());
        }
    }

    #[test]
    fn a_file_is_delivered_to_its_last_frame_and_then_ends() {
        let path = std::env::temp_dir().join(format!("audiostream-{}-capture.wav", std::process::id()));
        let sound: Vec<i16> = (1..2000).collect();
        let mut writer = crate::engine::record::wav::WavWriter::create(&path, Format::DEFAULT).unwrap();
        writer.append(&sound).unwrap();
        writer.finish().unwrap();
        let (ear, ended) = Ear::new();
        let (notices, _told) = bounded(1);
        let input = Input::File(path.clone());
        let mut capture = Capture::open(&input, &Audio::default(), Box::new(ear.clone()), notices).unwrap();
        capture.start().unwrap();
        ended.recv_timeout(Duration::from_secs(2)).unwrap();
        assert!(capture.has_ended());
        capture.stop();
        assert_eq!(ear.heard(), sound);
        assert_eq!(capture.start().unwrap_err().kind(), ErrorKind::State);
        std::fs::remove_file(path).unwrap();
    }
}
