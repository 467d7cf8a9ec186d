//! A simulated sound card on cpal's custom host, for the tests of the callback chains: its own clock error, pieces
//! of its own sizes, and losses when a test says so.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    Data, DeviceDescription, DeviceDescriptionBuilder, DeviceId, Error, ErrorKind, FrameCount,
    InputCallbackInfo, InputStreamTimestamp, OutputCallbackInfo, OutputStreamTimestamp, SampleFormat,
    StreamConfig, StreamInstant, SupportedBufferSize, SupportedStreamConfig, SupportedStreamConfigRange,
};

use crate::engine::time::Clock;

/// The card; copies are the same card.
#[derive(Clone)]
pub(super) struct Card(Arc<State>);

struct State {
    rate: u32,
    channels: u16,
    /// Sizes of the pieces, in turn.
    pieces: Vec<usize>,
    /// How much faster its clock runs than it says.
    ppm: i32,
    gone: AtomicBool,
    mute: AtomicBool,
    fail: AtomicBool,
    xrun: AtomicBool,
    opened: AtomicU32,
    /// Pieces that the next stream hands over at once.
    hoard: AtomicU32,
    /// What was played.
    heard: Mutex<Vec<i16>>,
    /// What the microphone counts.
    next: Mutex<i16>,
}

impl Card {
    pub(super) fn new(rate: u32, channels: u16, pieces: &[usize], ppm: i32) -> Self {
        Self(Arc::new(State {
            rate,
            channels,
            pieces: pieces.to_vec(),
            ppm,
            gone: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            fail: AtomicBool::new(false),
            xrun: AtomicBool::new(false),
            opened: AtomicU32::new(0),
            hoard: AtomicU32::new(0),
            heard: Mutex::new(Vec::new()),
            next: Mutex::new(1),
        }))
    }

    /// What looks for it: in vain while it is unplugged.
    pub(super) fn finder(&self) -> super::microphone::Finder {
        let card = self.clone();
        Box::new(move || {
            if card.0.gone.load(Ordering::Relaxed) {
                return Err(crate::engine::error::Error::device("unplugged"));
            }
            Ok((cpal::platform::CustomDevice::from_device(card.clone()).into(), None))
        })
    }

    /// Pulls the plug: with an error, or without a word.
    pub(super) fn unplug(&self, silently: bool) {
        self.0.gone.store(true, Ordering::Relaxed);
        let flag = if silently { &self.0.mute } else { &self.0.fail };
        flag.store(true, Ordering::Relaxed);
    }

    pub(super) fn plug(&self) {
        self.0.mute.store(false, Ordering::Relaxed);
        self.0.fail.store(false, Ordering::Relaxed);
        self.0.gone.store(false, Ordering::Relaxed);
    }

    /// Loses the next piece and reports it.
    pub(super) fn overrun(&self) {
        self.0.xrun.store(true, Ordering::Relaxed);
    }

    /// The next stream hands over so many pieces at once.
    pub(super) fn hoard(&self, pieces: u32) {
        self.0.hoard.store(pieces, Ordering::Relaxed);
    }

    /// How often it was opened.
    pub(super) fn opened(&self) -> u32 {
        self.0.opened.load(Ordering::Relaxed)
    }

    pub(super) fn heard(&self) -> Vec<i16> {
        self.0.heard.lock().unwrap().clone()
    }

    fn run(
        &self,
        mut piece: impl FnMut(&mut [i16]) + Send + 'static,
        mut error: impl FnMut(Error) + Send + 'static,
    ) -> CardStream {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        let playing = Arc::new(AtomicBool::new(false));
        let dropped = Arc::new(AtomicBool::new(false));
        let (card, on, off) = (self.clone(), playing.clone(), dropped.clone());
        let work = move || {
            let clock = Clock::new();
            let mut pieces: VecDeque<usize> = card.0.pieces.iter().copied().collect();
            let (mut due, mut frames) = (None, 0u64);
            while !off.load(Ordering::Relaxed) {
                thread::park_timeout(Duration::from_micros(500));
                if !on.load(Ordering::Relaxed) || card.0.mute.load(Ordering::Relaxed) {
                    continue;
                }
                if card.0.fail.load(Ordering::Relaxed) {
                    error(Error::with_message(ErrorKind::DeviceNotAvailable, "unplugged"));
                    break;
                }
                let start = *due.get_or_insert_with(|| clock.now());
                for _ in 0..card.0.hoard.swap(0, Ordering::Relaxed) {
                    piece(&mut vec![0; pieces[0] * usize::from(card.0.channels)]);
                }
                let rate = f64::from(card.0.rate) * (1.0 + f64::from(card.0.ppm) * 1e-6);
                while !off.load(Ordering::Relaxed)
                    && frames + pieces[0] as u64 <= (clock.now().since(start).as_secs_f64() * rate) as u64
                {
                    let mut buffer = vec![0; pieces[0] * usize::from(card.0.channels)];
                    frames += pieces[0] as u64;
                    pieces.rotate_left(1);
                    if card.0.xrun.swap(false, Ordering::Relaxed) {
                        error(ErrorKind::Xrun.into());
                        continue;
                    }
                    piece(&mut buffer);
                }
            }
        };
        let worker = thread::Builder::new().spawn(work).unwrap();
        CardStream { playing, dropped, worker: Some(worker) }
    }
}

impl DeviceTrait for Card {
    type SupportedInputConfigs = std::vec::IntoIter<SupportedStreamConfigRange>;
    type SupportedOutputConfigs = std::vec::IntoIter<SupportedStreamConfigRange>;
    type Stream = CardStream;

    fn description(&self) -> Result<DeviceDescription, Error> {
        Ok(DeviceDescriptionBuilder::new("Card").build())
    }

    fn id(&self) -> Result<DeviceId, Error> {
        Ok(DeviceId::new(cpal::HostId::Custom, "card"))
    }

    fn supported_input_configs(&self) -> Result<Self::SupportedInputConfigs, Error> {
        let any = SupportedBufferSize::Unknown;
        let State { rate, channels, .. } = *self.0;
        Ok(vec![SupportedStreamConfigRange::new(channels, rate, rate, any, SampleFormat::I16)].into_iter())
    }

    fn supported_output_configs(&self) -> Result<Self::SupportedOutputConfigs, Error> {
        self.supported_input_configs()
    }

    fn default_input_config(&self) -> Result<SupportedStreamConfig, Error> {
        let any = SupportedBufferSize::Unknown;
        Ok(SupportedStreamConfig::new(self.0.channels, self.0.rate, any, SampleFormat::I16))
    }

    fn default_output_config(&self) -> Result<SupportedStreamConfig, Error> {
        self.default_input_config()
    }

    #[allow(unsafe_code, reason = "cpal's custom hosts make their buffers so")]
    fn build_input_stream_raw<D, E>(
        &self,
        _: StreamConfig,
        _: SampleFormat,
        mut data: D,
        error: E,
        _: Option<Duration>,
    ) -> Result<Self::Stream, Error>
    where
        D: FnMut(&Data, &InputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        let card = self.clone();
        let piece = move |buffer: &mut [i16]| {
            // Counts up, never silent.
            let mut next = card.0.next.lock().unwrap();
            for frame in buffer.chunks_exact_mut(usize::from(card.0.channels)) {
                frame.fill(*next);
                *next = next.checked_add(1).unwrap_or(1);
            }
            drop(next);
            // SAFETY: the buffer outlives the call and holds that many samples of that type.
            let filled =
                unsafe { Data::from_parts(buffer.as_mut_ptr().cast(), buffer.len(), SampleFormat::I16) };
            let at = StreamInstant::ZERO;
            data(&filled, &InputCallbackInfo::new(InputStreamTimestamp { callback: at, capture: at }));
        };
        Ok(self.run(piece, error))
    }

    #[allow(unsafe_code, reason = "cpal's custom hosts make their buffers so")]
    fn build_output_stream_raw<D, E>(
        &self,
        _: StreamConfig,
        _: SampleFormat,
        mut data: D,
        error: E,
        _: Option<Duration>,
    ) -> Result<Self::Stream, Error>
    where
        D: FnMut(&mut Data, &OutputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        let card = self.clone();
        let piece = move |buffer: &mut [i16]| {
            // SAFETY: the buffer outlives the call and holds that many samples of that type.
            let mut empty =
                unsafe { Data::from_parts(buffer.as_mut_ptr().cast(), buffer.len(), SampleFormat::I16) };
            let at = StreamInstant::ZERO;
            data(&mut empty, &OutputCallbackInfo::new(OutputStreamTimestamp { callback: at, playback: at }));
            card.0.heard.lock().unwrap().extend_from_slice(buffer);
        };
        Ok(self.run(piece, error))
    }
}

impl PartialEq for Card {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Card {}

impl std::hash::Hash for Card {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card")
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card")
    }
}

/// A stream on the card; joins its thread when dropped, as the real ones do.
pub(super) struct CardStream {
    playing: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
    worker: Option<thread::JoinHandle<()>>,
}

impl StreamTrait for CardStream {
    fn play(&self) -> Result<(), Error> {
        self.playing.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn pause(&self) -> Result<(), Error> {
        self.playing.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn now(&self) -> StreamInstant {
        StreamInstant::ZERO
    }

    fn buffer_size(&self) -> Result<FrameCount, Error> {
        Ok(441)
    }
}

impl Drop for CardStream {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}
