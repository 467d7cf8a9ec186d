//! Plays one source: takes its packets from a queue, keeps them in order, and gives out its sound when it is due.
//!
//! Two ways of playing. *Live* ([`Player::play_live`]), for an ear: sound comes out a fixed delay after it arrived, and
//! time never stands still; what is not there when it is due is silence. *Whole* ([`Player::play_whole`]), for a file:
//! everything received comes out, in its place; a gap between packets is silence of exactly its length, and the
//! source's clock waits while nothing is there.
//!
//! Guaranteed: no allocation after construction; no position, however far off, makes the delay or the output grow
//! without bound. Not guaranteed yet: that the delay follows the network, and that a gap is hidden.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::buffer::Timeline;
use crate::engine::format::{Format, to_f32};
use crate::engine::stats::Playback;
use crate::engine::stream::queue::{Head, PacketReader, Position};
use crate::engine::time::Micros;

/// One source's playout.
pub struct Player {
    reader: PacketReader,
    timeline: Timeline,
    format: Format,
    /// The delay asked for; `None`: one packet plus what is pulled at once.
    delay: Option<Duration>,
    state: State,
    epoch: u32,
    /// The next frame to give out.
    position: Position,
    /// Frames of silence since the last sound, not yet known to be a gap or the end.
    starved: u64,
    /// Frames in a row that came too late.
    late_run: u64,
    /// Frames that other sources were given out while this one had none (whole only).
    owed: u64,
    /// Frames given out at the last call (whole only).
    given: usize,
    /// The packet that was latest against its place: what a gap's patience is counted from (whole only).
    latest: (Position, Micros),
    packet_frames: usize,
    scratch: Box<[i16]>,
    counters: Arc<PlayerCounters>,
}

/// What a player counts; written by the thread that plays, read by any.
#[derive(Debug, Default)]
pub struct PlayerCounters {
    late_packets: AtomicU64,
    frames_played: AtomicU64,
    frames_concealed: AtomicU64,
    underruns: AtomicU64,
    resets: AtomicU64,
    level_frames: AtomicU64,
    target_frames: AtomicU64,
    gain_bits: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing to play, and nothing expected.
    Idle,
    /// The first packet is there; its frame `anchor` arrived at `since`.
    Waiting {
        anchor: Position,
        since: Micros,
    },
    Playing,
}

impl Player {
    /// A player of packets in `format` from `reader`, with the delay asked for (`None`: one packet plus what is pulled at once).
    pub fn new(reader: PacketReader, format: Format, delay: Option<Duration>) -> Self {
        let window = format.frames(delay.unwrap_or_default() * 2 + WINDOW);
        Self {
            reader,
            timeline: Timeline::new(window, format.channels()),
            format,
            delay,
            state: State::Idle,
            epoch: 0,
            position: Position::default(),
            starved: 0,
            late_run: 0,
            owed: 0,
            given: 0,
            latest: (Position::default(), Micros::ZERO),
            packet_frames: 0,
            scratch: vec![0; STRIDE * format.channels()].into(),
            counters: Arc::new(PlayerCounters::default()),
        }
    }

    /// A player that goes on counting where an earlier one of the same source stopped.
    pub fn resumed(reader: PacketReader, format: Format, delay: Option<Duration>, counters: Arc<PlayerCounters>) -> Self {
        Self { counters, ..Self::new(reader, format, delay) }
    }

    /// The source's format.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Its counters, to be read from another thread.
    pub fn counters(&self) -> Arc<PlayerCounters> {
        Arc::clone(&self.counters)
    }

    /// Whether it will never play again: its queue is closed and empty, and all sound is given out.
    pub fn is_finished(&self) -> bool {
        self.reader.is_abandoned()
            && self.reader.is_empty()
            && (self.state == State::Idle || self.timeline.end() <= self.position)
    }

    /// Fills `out` (interleaved, the source's channels) with what is due at `now`, where `block` frames are usually
    /// pulled at once. Returns one past the last frame that holds sound; the rest is silence.
    pub fn play_live(&mut self, now: Micros, block: usize, out: &mut [f32]) -> usize {
        self.take_live(block);
        let frames = out.len() / self.format.channels();
        let lead = match self.state {
            State::Idle => frames,
            State::Waiting { anchor, since } => self.lead(now, anchor, since, block).min(frames),
            State::Playing => 0,
        };
        out[..lead * self.format.channels()].fill(0.0);
        if lead == frames {
            return 0;
        }
        self.state = State::Playing;
        self.publish(block);
        let mut done = lead;
        let mut sound = lead;
        while done < frames {
            let run = self.timeline.run(self.position, (frames - done).min(STRIDE));
            let target =
                &mut out[done * self.format.channels()..(done + run.frames) * self.format.channels()];
            if run.present {
                copy(&self.timeline, self.position, &mut self.scratch, target);
                self.counters.frames_played.fetch_add(run.frames as u64, Relaxed);
                sound = done + run.frames;
            } else {
                target.fill(0.0);
                if self.position < self.timeline.end() {
                    self.counters.frames_concealed.fetch_add(run.frames as u64, Relaxed);
                    sound = done + run.frames;
                } else {
                    self.starved += run.frames as u64;
                }
            }
            done += run.frames;
            self.position = self.position.plus(run.frames);
            self.timeline.advance(self.position);
        }
        if self.starved > self.format.frames(IDLE_AFTER) as u64 {
            self.state = State::Idle;
            self.starved = 0;
        }
        sound
    }

    /// Fills `out` with the sound that comes next, whenever it was due; a gap is given up after `patience`, or at
    /// once where `draining`. Returns the frames given out; beyond them nothing is touched.
    pub fn play_whole(&mut self, now: Micros, patience: Duration, draining: bool, out: &mut [f32]) -> usize {
        let channels = self.format.channels();
        let frames = out.len() / channels;
        let mut done = 0;
        loop {
            let ahead = self.take_whole();
            match self.state {
                State::Idle => break,
                State::Waiting { since, .. } if !draining && now.since(since) < patience => break,
                State::Waiting { .. } | State::Playing => self.state = State::Playing,
            }
            if done == frames {
                break;
            }
            let run = self.timeline.run(self.position, (frames - done).min(STRIDE));
            let mut step = run.frames;
            if run.present {
                copy(
                    &self.timeline,
                    self.position,
                    &mut self.scratch,
                    &mut out[done * channels..(done + step) * channels],
                );
                self.counters.frames_played.fetch_add(step as u64, Relaxed);
                done += step;
            } else if self.position < self.timeline.end() || ahead {
                if !(draining || ahead || now >= self.expected(self.position) + patience) {
                    break;
                }
                let skipped = self.owed.min(step as u64);
                self.owed -= skipped;
                if skipped > 0 {
                    step = skipped as usize;
                } else {
                    out[done * channels..(done + step) * channels].fill(0.0);
                    done += step;
                }
                self.counters.frames_concealed.fetch_add(step as u64, Relaxed);
            } else {
                break;
            }
            self.position = self.position.plus(step);
            self.timeline.advance(self.position);
        }
        self.publish(0);
        self.given = done;
        done
    }

    /// Frames given out at the last call of [`play_whole`](Self::play_whole).
    pub const fn given(&self) -> usize {
        self.given
    }

    /// Its gain.
    pub fn gain(&self) -> f32 {
        self.counters.gain()
    }

    /// Tells a whole player that others were given out `frames` that it had no sound for.
    pub fn fell_behind(&mut self, frames: usize) {
        if self.state == State::Playing {
            self.owed += frames as u64;
        }
    }

    /// Frames of silence before the first frame is due.
    fn lead(&self, now: Micros, anchor: Position, since: Micros, block: usize) -> usize {
        let due = since + self.format.duration(self.target(block) as u64);
        let wait = self.format.frames(due.since(now)) as i64;
        (wait + self.position.distance(anchor)).max(0) as usize
    }

    fn target(&self, block: usize) -> usize {
        let least = self.packet_frames.max(1) + block;
        self.delay.map_or(least, |delay| self.format.frames(delay).max(block))
    }

    fn take_live(&mut self, block: usize) {
        loop {
            if let Some(head) = self.reader.peek()
                && head.epoch != self.epoch
                && self.state == State::Playing
            {
                if self.position < self.timeline.end() {
                    return;
                }
                self.state = State::Idle;
            }
            let mut again = None;
            let target = self.target(block) as i64;
            let popped = {
                let Self {
                    reader,
                    timeline,
                    state,
                    epoch,
                    position,
                    late_run,
                    starved,
                    counters,
                    packet_frames,
                    format,
                    ..
                } = self;
                reader.pop(|head, first, second| {
                    *packet_frames = head.frames as usize;
                    if *state == State::Idle {
                        again = Some(*head);
                    } else {
                        *position = earlier_start(*state, *position, head.position);
                        let put = timeline.insert(head.position, first, second);
                        settle(starved, counters);
                        if put.written == 0 && put.behind > 0 {
                            counters.late_packets.fetch_add(1, Relaxed);
                            *late_run += u64::from(head.frames);
                        } else if put.written > 0 {
                            *late_run = 0;
                        }
                        let ahead = timeline.end().distance(*position);
                        let excess = 2 * target + format.frames(EXCESS) as i64;
                        if put.beyond > 0 || *late_run > format.frames(LATE_FOR) as u64 || ahead > excess {
                            counters.resets.fetch_add(1, Relaxed);
                            again = Some(*head);
                        }
                    }
                    if let Some(head) = again {
                        *epoch = head.epoch;
                        *position = head.position;
                        *late_run = 0;
                        *starved = 0;
                        *state = State::Waiting { anchor: head.position, since: head.arrival };
                        begin(timeline, &head);
                        timeline.insert(head.position, first, second);
                    }
                })
            };
            if !popped {
                return;
            }
        }
    }

    /// Takes what fits; true where a packet waits that lies further ahead than the window reaches.
    fn take_whole(&mut self) -> bool {
        while let Some(head) = self.reader.peek() {
            let fresh = self.state == State::Idle || head.epoch != self.epoch;
            if fresh && self.state != State::Idle && self.position < self.timeline.end() {
                // The last epoch's sound first.
                return false;
            }
            if fresh {
                self.epoch = head.epoch;
                self.position = head.position;
                self.latest = (head.position, head.arrival);
                if self.state == State::Idle {
                    self.state = State::Waiting { anchor: head.position, since: head.arrival };
                }
                begin(&mut self.timeline, &head);
            }
            if !self.fits(&head) {
                self.timeline.advance(self.position);
                if !self.fits(&head) && (head.frames as usize) <= self.timeline.capacity() {
                    return true;
                }
            }
            self.packet_frames = head.frames as usize;
            if head.arrival > self.expected(head.position) {
                self.latest = (head.position, head.arrival);
            }
            let Self { reader, timeline, state, position, counters, .. } = self;
            reader.pop(|head, first, second| {
                *position = earlier_start(*state, *position, head.position);
                let put = timeline.insert(head.position, first, second);
                if put.written == 0 && put.behind > 0 {
                    counters.late_packets.fetch_add(1, Relaxed);
                }
            });
        }
        false
    }

    /// When the frame at `position` arrives if it is as late as the latest yet.
    fn expected(&self, position: Position) -> Micros {
        let (place, arrival) = self.latest;
        let frames = position.distance(place);
        let time = self.format.duration(frames.unsigned_abs());
        if frames < 0 { arrival - time } else { arrival + time }
    }

    fn fits(&self, head: &Head) -> bool {
        let room = self.timeline.start().plus(self.timeline.capacity());
        head.position.plus(head.frames as usize).distance(room) <= 0
    }

    fn publish(&self, block: usize) {
        let level = self.timeline.end().distance(self.position).max(0);
        self.counters.level_frames.store(level as u64, Relaxed);
        self.counters.target_frames.store(self.target(block) as u64, Relaxed);
    }
}

impl PlayerCounters {
    /// A snapshot; `format` is the source's.
    pub fn snapshot(&self, format: Format) -> Playback {
        let ms = |frames: &AtomicU64| format.duration(frames.load(Relaxed)).as_secs_f64() * 1e3;
        Playback {
            late_packets: self.late_packets.load(Relaxed),
            frames_played: self.frames_played.load(Relaxed),
            frames_concealed: self.frames_concealed.load(Relaxed),
            underruns: self.underruns.load(Relaxed),
            delay_ms: ms(&self.level_frames),
            delay_target_ms: ms(&self.target_frames),
            level_db: f64::NEG_INFINITY,
        }
    }

    /// The source's gain, 1 where it was never set.
    pub fn gain(&self) -> f32 {
        match self.gain_bits.load(Relaxed) {
            0 => 1.0,
            bits => f32::from_bits(!bits),
        }
    }

    /// Sets the source's gain.
    pub fn set_gain(&self, gain: f32) {
        // Inverted, so that the all-zero default means 1 and a gain of 0 can be set.
        self.gain_bits.store(!gain.to_bits(), Relaxed);
    }
}

/// What ended a silence was a packet of the same stretch: the silence was a gap.
fn settle(starved: &mut u64, counters: &PlayerCounters) {
    if *starved > 0 {
        counters.frames_concealed.fetch_add(*starved, Relaxed);
        counters.underruns.fetch_add(1, Relaxed);
        *starved = 0;
    }
}

/// While the start is still waited for, a packet from before the first one moves it back.
fn earlier_start(state: State, position: Position, packet: Position) -> Position {
    if matches!(state, State::Waiting { .. }) { position.min(packet) } else { position }
}

/// Empties the window and leaves room before the first packet for one that it overtook.
fn begin(timeline: &mut Timeline, head: &Head) {
    let room = timeline.capacity() as u64 / 4;
    timeline.reset(Position(head.position.0.saturating_sub(room)));
}

/// Copies present frames out as floats.
fn copy(timeline: &Timeline, from: Position, scratch: &mut [i16], out: &mut [f32]) {
    let scratch = &mut scratch[..out.len()];
    timeline.read(from, scratch);
    for (to, sample) in out.iter_mut().zip(scratch) {
        *to = to_f32(*sample);
    }
}

/// Frames handled at once.
const STRIDE: usize = 1024;
/// How far ahead of its time sound can be held, besides the delay.
const WINDOW: Duration = Duration::from_millis(500);
/// After so much silence a source is not playing any more.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// When only late sound has come for so long, the delay no longer fits: begin anew.
const LATE_FOR: Duration = Duration::from_millis(50);
/// When so much more than twice the delay is waiting, the delay no longer fits either.
const EXCESS: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stream::queue::{PacketWriter, packet_queue};
    use proptest::prelude::*;

    const PACKET: usize = 441;
    const FIRST: u64 = 1 << 32;

    fn player(delay: Option<Duration>) -> (PacketWriter, Player) {
        let (writer, reader) = packet_queue(1000, 200_000, 1);
        (writer, Player::new(reader, Format::DEFAULT, delay))
    }

    /// Packet `n` of a ramp that starts anew in each packet, arriving at `arrival`.
    fn send(writer: &mut PacketWriter, n: u64, arrival: Micros) {
        let head = Head {
            sequence: n,
            position: Position(FIRST + n * PACKET as u64),
            arrival,
            frames: PACKET as u32,
            ..Head::default()
        };
        assert!(writer.push(head, &packet(n)));
    }

    fn packet(n: u64) -> Vec<i16> {
        (0..PACKET as u64).map(|i| (n * 1000 + i + 1) as i16).collect()
    }

    fn ms(n: u64) -> Micros {
        Micros(1_000_000_000 + n * 1000)
    }

    fn samples(sound: &[f32]) -> Vec<i16> {
        sound.iter().map(|s| crate::engine::format::to_i16(*s)).collect()
    }

    #[test]
    fn live_sound_comes_out_a_fixed_delay_after_it_arrived() {
        let (mut w, mut p) = player(None);
        let mut heard = Vec::new();
        for n in 0..20 {
            send(&mut w, n, ms(n * 10));
            let mut out = [1.0; PACKET];
            p.play_live(ms(n * 10 + 3), PACKET, &mut out);
            heard.extend(samples(&out));
        }
        let start = heard.iter().position(|s| *s != 0).unwrap();
        // One packet and one block after the arrival, which was 3 ms before the first pull: 17 ms.
        assert_eq!(start, Format::DEFAULT.frames(Duration::from_millis(17)));
        let sent: Vec<i16> = (0..20).flat_map(packet).collect();
        assert_eq!(heard[start..], sent[..heard.len() - start]);
        let figures = p.counters().snapshot(Format::DEFAULT);
        assert_eq!((figures.frames_concealed, figures.underruns, figures.late_packets), (0, 0, 0));
    }

    #[test]
    fn live_a_lost_packet_is_silence_of_its_length_and_nothing_else() {
        let (mut w, mut p) = player(None);
        let mut heard = Vec::new();
        for n in 0..30 {
            if n != 10 {
                send(&mut w, n, ms(n * 10));
            }
            let mut out = [1.0; PACKET];
            p.play_live(ms(n * 10), PACKET, &mut out);
            heard.extend(samples(&out));
        }
        let sent: Vec<i16> =
            (0..30).flat_map(|n| if n == 10 { vec![0; PACKET] } else { packet(n) }).collect();
        let start = heard.iter().position(|s| *s != 0).unwrap();
        assert_eq!(heard[start..], sent[..heard.len() - start]);
        assert_eq!(p.counters().snapshot(Format::DEFAULT).frames_concealed, PACKET as u64);
    }

    #[test]
    fn live_a_late_packet_is_counted_and_not_played() {
        let (mut w, mut p) = player(None);
        let mut out = [0.0; PACKET];
        for n in 0..30u64 {
            if n != 10 {
                send(&mut w, n, ms(n * 10));
            }
            if n == 15 {
                send(&mut w, 10, ms(n * 10));
            }
            p.play_live(ms(n * 10), PACKET, &mut out);
        }
        let figures = p.counters().snapshot(Format::DEFAULT);
        assert_eq!((figures.late_packets, figures.frames_concealed), (1, PACKET as u64));
    }

    #[test]
    fn live_the_end_of_a_stream_is_not_an_underrun() {
        let (mut w, mut p) = player(None);
        let mut out = [0.0; PACKET];
        for n in 0..300u64 {
            if n < 20 {
                send(&mut w, n, ms(n * 10));
            }
            p.play_live(ms(n * 10), PACKET, &mut out);
        }
        let figures = p.counters().snapshot(Format::DEFAULT);
        assert_eq!((figures.underruns, figures.frames_concealed), (0, 0));
        assert_eq!(figures.frames_played, 20 * PACKET as u64);
    }

    #[test]
    fn live_a_stream_that_became_later_is_heard_again_within_100_ms() {
        let (mut w, mut p) = player(None);
        let mut silent = 0;
        let mut out = [0.0; PACKET];
        for n in 0..200u64 {
            if n < 50 {
                send(&mut w, n, ms(n * 10));
            } else if n >= 60 {
                // From the 50th packet on, the path takes 100 ms more.
                send(&mut w, n - 10, ms(n * 10));
            }
            p.play_live(ms(n * 10), PACKET, &mut out);
            if n > 60 && out.iter().all(|s| *s == 0.0) {
                silent += 1;
            }
        }
        assert!(silent <= 10, "{silent} silent blocks after the packets came again");
    }

    proptest! {
        /// Whatever is lost or swapped within the patience, a file gets each packet in its place.
        #[test]
        fn whole_everything_received_is_in_its_place(fates in prop::collection::vec((0u8..10, 0u64..80), 2..120)) {
            let (mut w, mut p) = player(None);
            let mut arrivals: Vec<(u64, u64)> = Vec::new();
            for (n, (fate, delay)) in fates.iter().enumerate() {
                let n = n as u64;
                if *fate > 1 {
                    arrivals.push((n * 10 + delay, n));
                }
                if *fate == 9 {
                    arrivals.push((n * 10 + delay / 2, n));
                }
            }
            prop_assume!(!arrivals.is_empty());
            arrivals.sort_unstable();
            // The receiver hands on the first copy only.
            let mut seen = std::collections::BTreeSet::new();
            arrivals.retain(|(_, n)| seen.insert(*n));
            let mut heard = Vec::new();
            let mut out = [0.0; PACKET];
            let mut queue = arrivals.iter().copied().peekable();
            for t in (0..3000u64).step_by(7) {
                while let Some((at, n)) = queue.next_if(|(at, _)| *at <= t) {
                    send(&mut w, n, ms(at));
                }
                loop {
                    let got = p.play_whole(ms(t), Duration::from_millis(200), false, &mut out);
                    heard.extend(samples(&out[..got]));
                    if got < PACKET {
                        break;
                    }
                }
            }
            let got: std::collections::BTreeSet<u64> = arrivals.iter().map(|(_, n)| *n).collect();
            let (first, last) = (*got.first().unwrap(), *got.last().unwrap());
            let want: Vec<i16> =
                (first..=last).flat_map(|n| if got.contains(&n) { packet(n) } else { vec![0; PACKET] }).collect();
            prop_assert_eq!(heard.len(), want.len());
            prop_assert_eq!(heard, want);
            let figures = p.counters().snapshot(Format::DEFAULT);
            prop_assert_eq!(figures.frames_played, (got.len() * PACKET) as u64);
            prop_assert_eq!(figures.frames_concealed, (last - first + 1 - got.len() as u64) * PACKET as u64);
            prop_assert_eq!(figures.late_packets, 0);
        }
    }
}
