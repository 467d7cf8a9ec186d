//! Sound that a program makes, as an input: it is written into a queue and streamed at the pace of a clock.
//!
//! Guaranteed: nothing is streamed before the first write; from then on time goes on, and where nothing waits, silence is
//! streamed: the receiver keeps its delay, and what is written next is not late. Every frame that is taken is streamed once, in order. The
//! queue is bounded: what does not fit is not taken.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::format::Format;

use super::pacer::Halt;
use super::source::{Filled, Source};

/// The writing end; copies write into one queue.
#[derive(Clone)]
pub struct PushWriter {
    shared: Arc<Shared>,
    format: Format,
}

/// The end that is streamed.
pub(super) struct PushSource {
    shared: Arc<Shared>,
    begun: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Whole frames.
    waiting: VecDeque<i16>,
    /// Samples that may wait.
    most: usize,
    /// Nothing more will be written.
    ended: bool,
    /// Nothing more will be streamed.
    stopped: bool,
}

/// Makes both ends of a queue that holds so much sound.
pub(super) fn push(format: Format, room: Duration) -> (PushSource, PushWriter) {
    let most = format.frames(room).max(1) * format.channels();
    let state = State { waiting: VecDeque::with_capacity(most), most, ended: false, stopped: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
    (PushSource { shared: Arc::clone(&shared), begun: false }, PushWriter { shared, format })
}

impl PushWriter {
    /// Takes as many whole frames of `samples` as there is room for, waiting for some at most `timeout`; the frames taken.
    /// `None` where nothing will be streamed any more.
    pub fn write(&self, samples: &[i16], timeout: Duration) -> Option<usize> {
        let channels = self.format.channels();
        let is_full =
            |state: &State| state.most - state.waiting.len() < channels && !state.ended && !state.stopped;
        let state = self.shared.lock();
        let mut state = if samples.is_empty() { state } else { self.shared.wait(state, timeout, is_full) };
        if state.ended || state.stopped {
            return None;
        }
        let frames = (samples.len().min(state.most - state.waiting.len())) / channels;
        state.waiting.extend(&samples[..frames * channels]);
        drop(state);
        self.shared.changed.notify_all();
        Some(frames)
    }

    /// Frames that wait to be streamed; `None` where nothing will be any more.
    pub fn waiting(&self) -> Option<usize> {
        let state = self.shared.lock();
        (!state.stopped).then(|| state.waiting.len() / self.format.channels())
    }

    /// Frames that may wait.
    pub fn capacity(&self) -> usize {
        self.shared.lock().most / self.format.channels()
    }

    /// Says that nothing more will be written, and waits at most `timeout` until all is streamed.
    pub fn end(&self, timeout: Duration) {
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.changed.notify_all();
        drop(self.shared.wait(state, timeout, |state| !state.stopped));
    }
}

impl Source for PushSource {
    fn fill(&mut self, out: &mut [i16], halt: &Halt) -> Filled {
        let mut state = self.shared.lock();
        let late = !self.begun;
        while !self.begun {
            if halt.get().is_some() || state.ended && state.waiting.is_empty() {
                return Filled::Last(0);
            }
            self.begun = state.waiting.len() >= out.len() || state.ended;
            if !self.begun {
                state =
                    self.shared.wait(state, STEP, |state| state.waiting.len() < out.len() && !state.ended);
                // Less than a block that nothing follows is sound, too.
                self.begun = !state.waiting.is_empty();
            }
        }
        let samples = out.len().min(state.waiting.len());
        for (to, from) in out.iter_mut().zip(state.waiting.drain(..samples)) {
            *to = from;
        }
        let over = state.ended && state.waiting.is_empty();
        drop(state);
        self.shared.changed.notify_all();
        if over {
            return Filled::Last(samples);
        }
        out[samples..].fill(0);
        if late { Filled::Late } else { Filled::Whole }
    }
}

impl Drop for PushSource {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        timeout: Duration,
        wrong: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout_while(state, timeout, |state| wrong(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// How long the source waits for more before it looks whether it should end.
const STEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::super::pacer::Ending;
    use super::*;

    fn ends() -> (PushSource, PushWriter) {
        push(Format::new(8_000, 2).unwrap(), Duration::from_millis(10))
    }

    #[test]
    fn what_is_taken_comes_out_in_order_and_what_does_not_fit_is_not_taken() {
        let (mut source, writer) = ends();
        let sound: Vec<i16> = (1..=200).collect();
        assert_eq!(writer.write(&sound, Duration::ZERO), Some(80));
        assert_eq!((writer.write(&sound, Duration::ZERO), writer.waiting()), (Some(0), Some(80)));
        let mut out = [0; 100];
        assert_eq!(source.fill(&mut out, &Halt::default()), Filled::Late);
        assert_eq!(out[..], sound[..100]);
        assert_eq!(writer.write(&sound[160..], Duration::ZERO), Some(20));
        assert_eq!(source.fill(&mut out, &Halt::default()), Filled::Whole);
        assert_eq!(out[..], sound[100..]);
    }

    #[test]
    fn where_nothing_waits_there_is_silence_and_the_end_is_no_longer_than_what_was_written() {
        let (mut source, writer) = ends();
        writer.write(&[7; 40], Duration::ZERO);
        let mut out = [9; 60];
        assert_eq!(source.fill(&mut out, &Halt::default()), Filled::Late);
        assert_eq!((&out[..40], &out[40..]), (&[7; 40][..], &[0; 20][..]));
        assert_eq!(source.fill(&mut out, &Halt::default()), Filled::Whole);
        assert_eq!(out, [0; 60]);
        writer.write(&[8; 10], Duration::ZERO);
        writer.end(Duration::ZERO);
        assert_eq!(source.fill(&mut out, &Halt::default()), Filled::Last(10));
        assert_eq!(writer.write(&[1, 1], Duration::ZERO), None);
    }

    #[test]
    fn nothing_is_streamed_before_the_first_write_and_a_stop_ends_the_wait() {
        let (mut source, writer) = ends();
        let halt = Halt::default();
        halt.set(Ending::Abrupt);
        assert_eq!(source.fill(&mut [0; 20], &halt), Filled::Last(0));
        drop(source);
        assert_eq!(writer.waiting(), None);
    }

    #[test]
    fn a_writer_that_finds_no_room_waits_until_some_is_streamed() {
        let (mut source, writer) = ends();
        assert_eq!(writer.write(&[1; 160], Duration::ZERO), Some(80));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| writer.write(&[2; 40], Duration::from_secs(60)));
            source.fill(&mut [0; 20], &Halt::default());
            assert_eq!(waiting.join().unwrap(), Some(10));
        });
    }
}
