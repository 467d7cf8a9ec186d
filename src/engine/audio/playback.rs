//! The playing end of a server: a speaker, or a built-in sink in its place. It pulls; nothing is pushed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::engine::config::{Audio, Output};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::playout::render::Render;
use crate::engine::record::wav::WavWriter;
use crate::engine::time::Clock;

use super::Notice;
use super::device::{self, Purpose};
use super::microphone::Finder;
use super::pacer::{Ending, Halt, Paced};
use super::sink::{self, Sink};
use super::speaker::Speaker;
use super::stdio::PipeSink;
use super::watch::Watch;

/// An output that is open: silent until started, gone when stopped or dropped.
pub struct Playback {
    end: End,
    block_frames: usize,
    description: String,
    xruns: u64,
    outcome: Arc<Mutex<Result<()>>>,
}

enum End {
    Device(Watch),
    Waiting(Work, &'static str),
    Running(Paced),
    Stopped,
}

/// What a built-in sink's thread does until it is told to end.
type Work = Box<dyn FnOnce(&Halt) -> Result<()> + Send>;

impl Playback {
    /// Opens `output` and checks it; `render` is not called before [`start`](Self::start).
    pub fn open(
        output: &Output,
        audio: &Audio,
        clock: Clock,
        render: Box<dyn Render>,
        notices: Sender<Notice>,
    ) -> Result<Self> {
        let own = audio.clone();
        let (description, end) = match output {
            Output::Device(choice) => {
                let (host_api, choice) = (audio.host_api.clone(), choice.clone());
                let finder: Finder =
                    Box::new(move || device::find(host_api.as_deref(), &choice, Purpose::Play));
                return Self::open_found(finder, audio, clock, render, notices);
            }
            // Where nothing is played, nobody opens anything to play to.
            Output::None | Output::Null => {
                let work = move |halt: &Halt| {
                    sink::run_null(render, &own, clock, halt);
                    Ok(())
                };
                ("null".to_owned(), End::Waiting(Box::new(work), "as-null"))
            }
            Output::Stdout => {
                let work = move |halt: &Halt| {
                    let sink = PipeSink::stdout(halt.clone())?;
                    sink::run_sink(render, Box::new(sink), &own, clock, &notices, halt)
                };
                ("standard output".to_owned(), End::Waiting(Box::new(work), "as-stdout"))
            }
            Output::File(path) => {
                let sink: Box<dyn Sink> = Box::new(WavWriter::create(path, audio.format)?);
                let work = move |halt: &Halt| sink::run_sink(render, sink, &own, clock, &notices, halt);
                (path.display().to_string(), End::Waiting(Box::new(work), "as-file"))
            }
        };
        let block_frames = audio.block.frames(audio.format);
        Ok(Self { end, block_frames, description, xruns: 0, outcome: Arc::new(Mutex::new(Ok(()))) })
    }

    /// On the device that `finder` finds, each time anew.
    pub(super) fn open_found(
        finder: Finder,
        audio: &Audio,
        clock: Clock,
        render: Box<dyn Render>,
        notices: Sender<Notice>,
    ) -> Result<Self> {
        let watch = Watch::open(Box::new(Speaker::new(finder, audio, clock, render)), clock, notices)?;
        let end = End::Device(watch);
        Ok(Self {
            end,
            block_frames: 0,
            description: String::new(),
            xruns: 0,
            outcome: Arc::new(Mutex::new(Ok(()))),
        })
    }

    /// Lets the sound flow. Called again it does nothing.
    pub fn start(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.end, End::Stopped) {
            End::Device(watch) => {
                let started = watch.start();
                self.end = End::Device(watch);
                started
            }
            End::Waiting(work, name) => {
                let outcome = self.outcome.clone();
                let paced = Paced::spawn(name, move |halt| {
                    let result = work(&halt);
                    *outcome.lock().unwrap_or_else(PoisonError::into_inner) = result;
                })?;
                self.end = End::Running(paced);
                Ok(())
            }
            End::Stopped => Err(Error::new(ErrorKind::State, "the output has been stopped")),
            running @ End::Running(_) => {
                self.end = running;
                Ok(())
            }
        }
    }

    /// Ends it within its deadline; with `drain`, files and pipes are given what is still ready first. The error is
    /// what kept a file or pipe from being whole. May be called twice.
    pub fn stop(&mut self, drain: bool) -> Result<()> {
        match std::mem::replace(&mut self.end, End::Stopped) {
            End::Device(mut watch) => {
                // What is known of the device stays known.
                let facts = watch.facts();
                (self.block_frames, self.description) = (facts.block_frames, facts.description);
                self.xruns = watch.xruns();
                watch.stop();
                Ok(())
            }
            End::Running(mut paced) => {
                let ending = if drain { Ending::Drained } else { Ending::Abrupt };
                if !paced.stop(ending, DRAIN_LIMIT) {
                    return Err(Error::new(
                        ErrorKind::Recording,
                        "the output did not take the rest of the sound",
                    ));
                }
                self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            End::Waiting(..) | End::Stopped => Ok(()),
        }
    }

    /// Times that the device ran dry, as far as the system says.
    pub fn xruns(&self) -> u64 {
        match &self.end {
            End::Device(watch) => watch.xruns(),
            _ => self.xruns,
        }
    }

    /// Frames of the stream that are pulled at once, once it runs. Devices may pull twice as many to begin with.
    pub fn block_frames(&self) -> usize {
        match &self.end {
            End::Device(watch) => watch.facts().block_frames,
            _ => self.block_frames,
        }
    }

    /// What it plays to, for people.
    pub fn description(&self) -> String {
        match &self.end {
            End::Device(watch) => watch.facts().description,
            _ => self.description.clone(),
        }
    }
}

/// How long a file or pipe may take for the rest.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crossbeam_channel::{Receiver, bounded};

    use super::super::Side;
    use super::super::card::Card;
    use super::*;
    use crate::engine::format::{Format, to_f32};
    use crate::engine::playout::render::Starved;
    use crate::engine::time::Micros;

    /// Counts up as it is pulled; with `held`, only as far as that allows.
    struct Counter {
        next: u64,
        held: Option<Arc<AtomicU64>>,
        calls: Arc<AtomicU64>,
        last: Arc<AtomicU64>,
        frames: Arc<AtomicU64>,
    }

    impl Render for Counter {
        fn render(&mut self, now: Micros, out: &mut [f32], starved: Starved) -> usize {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.last.store(now.0, Ordering::Relaxed);
            self.frames.fetch_add(out.len() as u64, Ordering::Relaxed);
            let most = self.held.as_ref().map_or(u64::MAX, |held| held.load(Ordering::Relaxed));
            let ready = out.len().min((most - self.next.min(most)) as usize);
            for (index, sample) in out.iter_mut().enumerate() {
                *sample = if index < ready {
                    to_f32(((self.next + index as u64) % 30_000) as i16 + 1)
                } else {
                    0.0
                };
            }
            self.next += if starved == Starved::Advance { out.len() } else { ready } as u64;
            ready
        }
    }

    fn counter(held: Option<Arc<AtomicU64>>) -> (Box<Counter>, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (calls, last) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        (
            Box::new(Counter {
                next: 0,
                held,
                calls: calls.clone(),
                last: last.clone(),
                frames: Arc::default(),
            }),
            calls,
            last,
        )
    }

    fn wait(ms: u64) {
        Halt::default().sleep(Duration::from_millis(ms));
    }

    fn counted(heard: &[i16], from: usize) -> bool {
        heard.iter().enumerate().all(|(n, s)| *s == ((n + from) % 30_000) as i16 + 1)
    }

    fn open_file(held: &Arc<AtomicU64>, path: &Path) -> (Playback, Receiver<Notice>) {
        let (notices, told) = bounded(8);
        let (render, ..) = counter(Some(held.clone()));
        let output = Output::File(path.to_path_buf());
        (Playback::open(&output, &Audio::default(), Clock::new(), render, notices).unwrap(), told)
    }

    #[test]
    fn a_speaker_plays_what_is_rendered_bit_for_bit_in_pieces_of_all_sizes() {
        let card = Card::new(44_100, 1, &[441, 1, 3000, 17], 200);
        let (notices, _told) = bounded(8);
        let (render, calls, last) = counter(None);
        let clock = Clock::new();
        let mut playback =
            Playback::open_found(card.finder(), &Audio::default(), clock, render, notices).unwrap();
        wait(50);
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        assert_eq!(playback.block_frames(), 441);
        playback.start().unwrap();
        wait(300);
        playback.stop(true).unwrap();
        playback.stop(false).unwrap();
        let heard = card.heard();
        assert!(heard.len() > 8_000 && counted(&heard, 0));
        assert!(clock.now().0 - last.load(Ordering::Relaxed) < 1_000_000);
    }

    #[test]
    fn a_speaker_that_was_lost_plays_on_when_it_is_back_and_the_mix_goes_on_meanwhile() {
        for silently in [false, true] {
            let card = Card::new(48_000, 2, &[480], 0);
            let (notices, told) = bounded(8);
            let (render, _, frames, clock) = timed_counter();
            let mut playback =
                Playback::open_found(card.finder(), &Audio::default(), clock, render, notices).unwrap();
            let start = clock.now();
            playback.start().unwrap();
            until(|| card.heard().len() > 9_600);
            card.unplug(silently);
            let unplugged = clock.now();
            // A silent loss is noticed after a second.
            until(|| clock.now().since(unplugged) > Duration::from_millis(1_500));
            assert_in_time(&frames, clock, start);
            card.plug();
            until(|| card.opened() == 2);
            let before = card.heard().len();
            until(|| card.heard().len() > before + 48_000);
            assert_in_time(&frames, clock, start);
            playback.stop(false).unwrap();
            let gaps: Vec<Duration> = told
                .try_iter()
                .filter_map(|n| if let Notice::DeviceBack { gap, .. } = n { Some(gap) } else { None })
                .collect();
            assert!(gaps.len() == 1 && gaps[0] > Duration::from_millis(500), "{gaps:?}");
        }
    }

    #[test]
    fn a_speaker_that_opening_hangs_on_leaves_the_mix_in_time() {
        let card = Card::new(44_100, 1, &[441], 0);
        let (hang, wait) = bounded::<()>(0);
        let (mut find, mut first) = (card.finder(), true);
        let finder: Finder = Box::new(move || {
            if !std::mem::take(&mut first) {
                let _ = wait.recv();
            }
            find()
        });
        let (notices, _told) = bounded(8);
        let (render, _, frames, clock) = timed_counter();
        let mut playback = Playback::open_found(finder, &Audio::default(), clock, render, notices).unwrap();
        let start = clock.now();
        playback.start().unwrap();
        until(|| !card.heard().is_empty());
        card.unplug(false);
        until(|| clock.now().since(start) > Duration::from_secs(2));
        assert_in_time(&frames, clock, start);
        drop(hang);
        playback.stop(false).unwrap();
    }

    #[test]
    fn a_speaker_without_any_pace_is_paced_by_the_clock_and_said_once() {
        // A thousand times faster than it says.
        let card = Card::new(44_100, 1, &[4_410], 1_000_000_000);
        let (notices, told) = bounded(8);
        let (render, _, frames, clock) = timed_counter();
        let mut playback =
            Playback::open_found(card.finder(), &Audio::default(), clock, render, notices).unwrap();
        let start = clock.now();
        playback.start().unwrap();
        until(|| clock.now().since(start) > Duration::from_millis(2_500));
        playback.stop(false).unwrap();
        let most = Format::DEFAULT.frames(clock.now().since(start)) + 44_100;
        assert!(card.heard().len() < most, "{} {most}", card.heard().len());
        assert!(frames.load(Ordering::Relaxed) < most as u64);
        let said = told.try_iter().filter(|n| *n == Notice::Unpaced(Side::Speaker)).count();
        assert_eq!(said, 1);
    }

    /// The counter, the frames that it has given, and its clock.
    fn timed_counter() -> (Box<Counter>, Arc<AtomicU64>, Arc<AtomicU64>, Clock) {
        let (mut render, calls, _) = counter(None);
        let frames = Arc::<AtomicU64>::default();
        render.frames = frames.clone();
        (render, calls, frames, Clock::new())
    }

    /// The mix is where the clock is, give or take what a busy machine makes of it.
    fn assert_in_time(frames: &AtomicU64, clock: Clock, start: Micros) {
        let far = || {
            let (mixed, due) =
                (frames.load(Ordering::Relaxed), Format::DEFAULT.frames(clock.now().since(start)));
            mixed.abs_diff(due as u64)
        };
        until(|| far() < 441 * 13);
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
    fn null_takes_a_block_each_time_one_is_due() {
        let (notices, _told) = bounded(1);
        let (render, calls, _) = counter(None);
        let mut playback =
            Playback::open(&Output::Null, &Audio::default(), Clock::new(), render, notices).unwrap();
        let clock = Clock::new();
        let start = clock.now();
        playback.start().unwrap();
        wait(300);
        playback.stop(true).unwrap();
        let most = clock.now().since(start).as_millis() as u64 / 10;
        assert!((20..=most).contains(&calls.load(Ordering::Relaxed)));
        assert_eq!(playback.block_frames(), 441);
    }

    #[test]
    fn a_file_holds_each_sample_once_however_it_comes() {
        let path = std::env::temp_dir().join(format!("audiostream-{}-heard.wav", std::process::id()));
        std::fs::write(&path, "what was there before").unwrap();
        let held = Arc::new(AtomicU64::new(0));
        let (mut playback, _told) = open_file(&held, &path);
        playback.start().unwrap();
        for step in [5u64, 700, 0, 5000, 1] {
            held.fetch_add(step, Ordering::Relaxed);
            wait(35);
        }
        let mut reader = super::super::wav::Reader::open(&path).unwrap();
        assert!(reader.left >= 4410, "the header is kept valid: {}", reader.left);
        held.fetch_add(123, Ordering::Relaxed);
        playback.stop(true).unwrap();
        reader = super::super::wav::Reader::open(&path).unwrap();
        let mut heard = vec![0; 7000];
        let samples = reader.read(&mut heard).unwrap();
        assert_eq!(samples, 5 + 700 + 5000 + 1 + 123);
        assert!(counted(&heard[..samples], 0));
        assert_eq!(Format::DEFAULT.channels(), reader.channels);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_unwritable_file_is_an_error_when_opened_and_a_full_disk_a_notice() {
        let (notices, told) = bounded(8);
        let open = |path: &str, notices| {
            let (render, calls, _) = counter(None);
            let output = Output::File(path.into());
            (Playback::open(&output, &Audio::default(), Clock::new(), render, notices), calls)
        };
        let (refused, _) = open("/nowhere/heard.wav", notices.clone());
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::Recording);
        let full = std::path::Path::new("/dev/full");
        if full.exists() {
            let held = Arc::new(AtomicU64::new(1_000));
            let (sink_notices, sink_told) = bounded(8);
            let (render, calls, _) = counter(Some(held));
            let sink = Box::new(Full);
            let halt = Halt::default();
            let own = halt.clone();
            let mut paced = Paced::spawn("as-test", move |_| {
                let _ = sink::run_sink(render, sink, &Audio::default(), Clock::new(), &sink_notices, &own);
            })
            .unwrap();
            wait(60);
            let before = calls.load(Ordering::Relaxed);
            wait(60);
            assert!(calls.load(Ordering::Relaxed) > before, "it goes on rendering");
            halt.set(Ending::Abrupt);
            paced.stop(Ending::Abrupt, DRAIN_LIMIT);
            let said: Vec<Notice> = sink_told.try_iter().collect();
            assert!(
                matches!(&said[..], [Notice::SinkFailed(e)] if e.errno() == Some(libc::ENOSPC)),
                "{said:?}"
            );
        }
        assert!(told.try_recv().is_err());
    }

    /// A disk without room.
    struct Full;
    impl Sink for Full {
        fn write(&mut self, _: &[i16]) -> Result<()> {
            Err(Error::io(
                ErrorKind::Recording,
                "cannot write",
                &std::io::Error::from_raw_os_error(libc::ENOSPC),
            ))
        }
        fn finish(&mut self) -> Result<()> {
            Ok(())
        }
    }
}
