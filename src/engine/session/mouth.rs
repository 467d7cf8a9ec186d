//! The audio thread's end of a server's own microphone: hands what is captured to whoever sends it.
//!
//! Guaranteed: nothing here allocates, locks or logs; a full ring loses the sound that does not fit, and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::engine::audio::capture::CaptureTarget;
use crate::engine::format::Format;
use crate::engine::net::waker::Waker;
use crate::engine::playout::player::Player;
use crate::engine::stream::queue::{Head, PacketWriter, Position, stocked_queue};
use crate::engine::time::{Clock, Micros};

/// A server's microphone, to be sent as it is.
pub struct Mouth {
    ring: Producer<i16>,
    channels: usize,
    waker: Waker,
    dropped: Arc<AtomicU64>,
}

impl Mouth {
    /// Captures `format` for the consumer, and wakes who takes it; frames that found no room are counted in `dropped`.
    pub fn new(format: Format, waker: Waker, dropped: Arc<AtomicU64>) -> (Self, Consumer<i16>) {
        let (ring, taken) = RingBuffer::new(format.rate() as usize * format.channels());
        (Self { ring, channels: format.channels(), waker, dropped }, taken)
    }
}

impl CaptureTarget for Mouth {
    fn captured(&mut self, samples: &[i16]) {
        let room = self.ring.slots() / self.channels * self.channels;
        let taken = samples.len().min(room);
        let _ = self.ring.push_entire_slice(&samples[..taken]);
        if taken < samples.len() {
            self.dropped.fetch_add(((samples.len() - taken) / self.channels) as u64, Relaxed);
        }
        self.waker.wake();
    }
}

/// A server's microphone in a conference: one more player, at its own clock, that only listeners hear.
pub struct Guest {
    queue: PacketWriter,
    clock: Clock,
    channels: usize,
    /// The most samples that are handed on at once.
    piece: usize,
    head: Head,
    dropped: Arc<AtomicU64>,
}

impl Guest {
    /// Captures `format` for the player.
    pub fn new(format: Format, clock: Clock, dropped: Arc<AtomicU64>) -> (Self, Player) {
        let piece = format.rate() as usize / PIECES_A_SECOND * format.channels();
        let (queue, reader) = stocked_queue(PIECES, piece, format.channels());
        let most = std::time::Duration::from_millis(500);
        let player = Player::live(reader, format, most, Arc::default()).apart();
        let head = Head { sequence: FIRST, position: Position(FIRST), ..Head::default() };
        (Self { queue, clock, channels: format.channels(), piece, head, dropped }, player)
    }
}

impl CaptureTarget for Guest {
    fn captured(&mut self, samples: &[i16]) {
        self.take(samples, self.clock.now());
    }
}

impl Guest {
    /// What was captured until `now`.
    pub(super) fn take(&mut self, samples: &[i16], now: Micros) {
        for piece in samples.chunks(self.piece) {
            let frames = piece.len() / self.channels;
            let head = Head { frames: frames as u32, arrival: now, ..self.head };
            if !self.queue.push(head, piece) {
                self.dropped.fetch_add(frames as u64, Relaxed);
            }
            self.head.sequence += 1;
            self.head.position = self.head.position.plus(frames);
        }
    }
}

/// Pieces that may wait to be mixed: devices deliver a few hundred a second.
const PIECES: usize = 512;
/// Longer ones are handed on in parts.
const PIECES_A_SECOND: usize = 100;
/// Beyond 2^32, so that earlier places can be named.
const FIRST: u64 = 1 << 33;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::playout::listeners::Listener;
    use crate::engine::playout::render::{Render, Renderer, Starved};

    #[test]
    fn in_a_conference_listeners_hear_the_microphone_and_the_speaker_does_not() {
        let format = Format::DEFAULT;
        let (mut guest, player) = Guest::new(format, Clock::new(), Arc::default());
        let (mut renderer, mut roster, _) = Renderer::new(format, 1, 441, Duration::ZERO).unwrap();
        let (listener, mut ear) = Listener::new(1, format, Duration::from_secs(5));
        assert!(roster.add(player) && roster.listen(listener));
        let mut out = [0.0; 441];
        for n in 0..200 {
            let now = Micros(3_600_000_000 + n * 10_000);
            guest.take(&[1_000; 441], now);
            assert_eq!(renderer.render(now, &mut out, Starved::Advance), 0);
            assert!(out.iter().all(|sample| sample.abs() <= 0.0));
        }
        let heard: Vec<i16> = std::iter::from_fn(|| ear.sound.pop().ok()).collect();
        assert_eq!(heard.len(), 200 * 441);
        assert!(heard[44_100..].iter().filter(|sample| **sample == 1_000).count() > 40_000);
    }
}
