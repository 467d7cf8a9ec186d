//! Playing for a file: everything received comes out, in its place, whenever it was due.
//!
//! A gap between packets is silence of exactly its length, given up after some patience; while nothing is there the
//! source's clock stands still.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::inlet::{Inlet, STRIDE};
use super::ledger::Kind;
use super::pauses::Pauses;
use crate::engine::stream::queue::{Origin, Position};
use crate::engine::time::Micros;

/// The state of whole playing of one source.
#[derive(Debug, Default)]
pub struct Whole {
    state: State,
    /// Frames that other sources were given out while this one had none.
    owed: u64,
    /// The packet that was latest against its place: what a gap's patience is counted from.
    latest: (Position, Micros),
    pauses: Pauses,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The first packet came then; one that it overtook may still come.
    Waiting(Micros),
    Playing,
}

impl Whole {
    /// Fills `out` with the sound that comes next; a gap is given up after `patience`, or at once where `draining`.
    /// Returns the frames given out; beyond them nothing is touched.
    pub fn play(
        &mut self,
        inlet: &mut Inlet,
        now: Micros,
        patience: Duration,
        draining: bool,
        out: &mut [f32],
    ) -> usize {
        let channels = inlet.format.channels();
        let frames = out.len() / channels;
        let mut done = 0;
        loop {
            let ahead = self.take(inlet);
            match self.state {
                State::Idle => break,
                State::Waiting(since) if !draining && !ahead && now.since(since) < patience => break,
                State::Waiting(_) | State::Playing => self.state = State::Playing,
            }
            if done == frames {
                break;
            }
            let run = inlet.window.run(inlet.position, (frames - done).min(STRIDE));
            let made_up = inlet.window.made_up(inlet.position, run.frames);
            let mut step = run.frames.min(made_up.frames);
            if run.present {
                // What was received may yet take the place of what a codec made up.
                let waits = made_up.present && !draining && !ahead;
                if waits && now < self.expected(inlet, inlet.position) + patience {
                    break;
                }
                inlet.copy(inlet.position, &mut out[done * channels..(done + step) * channels]);
                inlet.give_out(step);
                done += step;
            } else if !inlet.is_played_out() || ahead {
                if !(draining || ahead || now >= self.expected(inlet, inlet.position) + patience) {
                    break;
                }
                let skipped = self.owed.min(step as u64);
                self.owed -= skipped;
                // Where the sender was silent nothing is missing.
                let pause = self.pauses.cover(inlet.position);
                if skipped > 0 {
                    step = skipped as usize;
                } else {
                    let room = &mut out[done * channels..(done + step) * channels];
                    room.fill(0.0);
                    let noise = inlet.comfort.add(inlet.position, room);
                    let kind = if pause || noise { Kind::Heard } else { Kind::Lost };
                    inlet.ledger.note(kind, inlet.position, step);
                    done += step;
                }
                if !pause {
                    inlet.counters.frames_concealed.fetch_add(step as u64, Relaxed);
                }
            } else {
                break;
            }
            inlet.step(step);
        }
        inlet.ledger.give(done);
        let waiting = inlet.window.end().distance(inlet.position).max(0) as u64;
        inlet.counters.delay_us.store(inlet.format.duration(waiting).as_micros() as u64, Relaxed);
        inlet.counters.target_us.store(patience.as_micros() as u64, Relaxed);
        done
    }

    /// Whether nothing is being played.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Others were given out `frames` that this source had no sound for.
    pub fn fell_behind(&mut self, frames: usize) {
        if self.state == State::Playing {
            self.owed += frames as u64;
        }
    }

    /// Takes what fits; true where a packet waits that lies further ahead than the window reaches.
    fn take(&mut self, inlet: &mut Inlet) -> bool {
        while let Some(head) = inlet.reader.peek() {
            if head.frames == 0 && head.epoch == inlet.epoch {
                self.pauses.arrived(&head);
                inlet.comfort.arrived(&head);
            }
            let is_elsewhere = self.state == State::Idle || head.epoch != inlet.epoch;
            if head.frames == 0 || head.origin.is_made_up() && is_elsewhere {
                inlet.pass_over();
                continue;
            }
            if self.state == State::Idle || head.epoch != inlet.epoch {
                if self.state != State::Idle && !inlet.is_played_out() {
                    // The last epoch's sound first.
                    return false;
                }
                inlet.begin(&head);
                self.latest = (head.position, head.arrival);
                if self.state == State::Idle {
                    self.state = State::Waiting(head.arrival);
                }
            }
            if !inlet.fits(&head) {
                inlet.step(0);
                if !inlet.fits(&head) && (head.frames as usize) <= inlet.window.capacity() {
                    return true;
                }
            }
            inlet.packet_frames = head.frames as usize;
            if !head.origin.is_made_up() {
                self.pauses.arrived(&head);
                inlet.comfort.arrived(&head);
                if head.arrival > self.expected(inlet, head.position) {
                    self.latest = (head.position, head.arrival);
                }
            }
            let put = inlet.put(matches!(self.state, State::Waiting(_)));
            if put.written == 0 && put.behind > 0 && head.origin == Origin::Received {
                inlet.counters.note_late(head.sequence);
            }
        }
        false
    }

    /// When the frame at `position` arrives if it is as late as the latest yet.
    fn expected(&self, inlet: &Inlet, position: Position) -> Micros {
        let (place, arrival) = self.latest;
        let frames = position.distance(place);
        let time = inlet.format.duration(frames.unsigned_abs());
        if frames < 0 { arrival - time } else { arrival + time }
    }
}
