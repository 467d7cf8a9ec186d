//! The sending end: what to send, what to send again, and when.
//!
//! As Linux: SACK and RACK find losses (RFC 6675, 8985), a tail loss probe goes out after two round trips of silence
//! (RFC 8985, 7), a timeout after one and 200 ms (RFC 6298), found spurious by what was not sent again (RFC 5682) or by
//! timestamps (RFC 3522).

mod recovery;

use std::collections::VecDeque;
use std::time::Duration;

use super::board::{Board, Sent};
use super::rack::Rack;
use super::receiver::millis;
use super::rtt::{INITIAL, Rtt};
use super::segment::Segment;
use super::window::Window;
use super::{TcpConfig, TcpCounts};
use crate::engine::time::Micros;

/// The sending end.
#[derive(Clone, Debug)]
pub struct Sender {
    config: TcpConfig,
    counts: TcpCounts,
    /// What was written and is not acknowledged, from `una` on.
    buffer: VecDeque<u8>,
    una: u64,
    nxt: u64,
    board: Board,
    rack: Rack,
    rtt: Rtt,
    window: Window,
    state: State,
    timer: Option<(Micros, Timer)>,
    /// The present recovery ends when all before this is acknowledged.
    recovery: u64,
    /// What could show that it was for nothing.
    doubt: Option<Doubt>,
    /// After a timeout: new segments go first, to see whether it was spurious.
    trying: bool,
    /// Timeouts since something was acknowledged.
    timeouts: u32,
    /// A tail loss probe is out, which ends here; and whether it was a retransmission.
    probe: Option<(u64, bool)>,
    last_sent: Micros,
    out: VecDeque<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum State {
    Open,
    /// Something is beyond a hole.
    Disorder,
    Recovery,
    /// After a timeout.
    Loss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Timeout,
    Probe,
    Reorder,
}

/// What was done because of a loss that may not be one.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    /// The first retransmission's time stamp.
    stamp: Option<u32>,
    /// Retransmissions not known to have been needless.
    resent: u32,
    any: bool,
}

/// What an acknowledgement has brought.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct News {
    advanced: bool,
    acked: u32,
    sacked: u32,
    /// Something arrived that was sent once, and before the timeout.
    original: bool,
    duplicate: bool,
    lost_again: bool,
    restart_timer: bool,
    echo: u32,
}

impl Sender {
    /// Of a connection that has just been made, with a handshake that took so long.
    pub fn new(config: TcpConfig, handshake: Duration) -> Self {
        let mut rtt = Rtt::new();
        rtt.sample(handshake, 0, 0);
        rtt.shortest(handshake);
        Self {
            config,
            counts: TcpCounts::default(),
            buffer: VecDeque::new(),
            una: 0,
            nxt: 0,
            board: Board::default(),
            rack: Rack::new(),
            rtt,
            window: Window::new(config.algorithm),
            state: State::Open,
            timer: None,
            recovery: 0,
            doubt: None,
            trying: false,
            timeouts: 0,
            probe: None,
            last_sent: Micros::ZERO,
            out: VecDeque::new(),
        }
    }

    /// Takes as much of `bytes` as there is room for, and sends what may go.
    pub fn write(&mut self, now: Micros, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.buffer.extend(&bytes[..taken]);
        self.counts.written += taken as u64;
        self.counts.refused += (bytes.len() - taken) as u64;
        if taken > 0 {
            if self.board.packets() == 0 && self.last_sent != Micros::ZERO {
                let idle = now.since(self.last_sent).as_micros() / self.rtt.timeout().as_micros().max(1);
                if idle > 0 {
                    self.window.rested(now, idle as u32);
                }
            }
            self.transmit(now, false);
        }
        taken
    }

    /// How much a write would be given.
    pub fn room(&self) -> usize {
        if self.config.unsent_limit.is_some_and(|limit| self.unsent() >= limit) {
            return 0;
        }
        self.config.send_buffer.saturating_sub(self.buffer.len())
    }

    /// Bytes written and never sent.
    pub fn unsent(&self) -> usize {
        self.buffer.len() - (self.nxt - self.una) as usize
    }

    /// Bytes written and not acknowledged.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// When something happens though nothing arrives.
    pub fn poll(&self) -> Option<Micros> {
        self.timer.map(|(at, _)| at)
    }

    /// The next segment to go.
    pub fn next_out(&mut self) -> Option<Segment> {
        self.out.pop_front()
    }

    /// What it did so far.
    pub fn counts(&self) -> TcpCounts {
        self.counts
    }

    /// The congestion window, in segments, and the estimated round trip.
    pub fn window(&self) -> u32 {
        self.window.size()
    }

    /// The smoothed round trip.
    pub fn round_trip(&self) -> Option<Duration> {
        self.rtt.smooth()
    }

    /// An acknowledgement has arrived.
    pub fn acknowledged(&mut self, now: Micros, segment: &Segment) {
        let losses = self.board.losses();
        let mut news = self.read(now, segment);
        self.probed(now, &news, segment.ack);
        self.judge(now, &mut news);
        if news.restart_timer && !self.schedule_probe(now, true) {
            self.restart_timeout(now);
        }
        let delivered = news.acked + news.sacked;
        if self.state == State::Recovery {
            let clean = news.advanced && self.board.losses() == losses;
            self.window.reduce(self.board.in_flight(), delivered, clean);
        } else if news.advanced
            || (news.sacked > 0 && self.state == State::Disorder && self.rack.allows_growth())
        {
            self.window.grow(now, delivered);
        }
        if self.state >= State::Recovery && !self.trying {
            self.retransmit_lost(now);
        }
        self.transmit(now, false);
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Micros) {
        let Some((at, timer)) = self.timer else { return };
        if at > now {
            return;
        }
        self.timer = None;
        match timer {
            Timer::Reorder => self.reorder_waited(now),
            Timer::Probe => self.send_probe(now),
            Timer::Timeout => self.time_out(now),
        }
    }

    /// Takes an acknowledgement to the scoreboard.
    fn read(&mut self, now: Micros, segment: &Segment) -> News {
        let mut news = News { echo: segment.echo, ..News::default() };
        let recovery = self.recovery;
        let highest = self.board.highest().max(self.una);
        let mut lowest_late: Option<u64> = None;
        let (mut sample, mut sampled_sack, mut recent) = (None, None, None);
        if segment.sacks.duplicate().is_some() {
            news.duplicate = true;
            self.rack.duplicate(self.una, self.nxt);
            if let Some(doubt) = &mut self.doubt {
                doubt.resent = doubt.resent.saturating_sub(1);
            }
        }
        let (rack, rtt, mss) = (&mut self.rack, &self.rtt, self.config.mss as u64);
        for &(start, end) in segment.sacks.arrived() {
            self.board.sack(start, end, |sent| {
                news.sacked += 1;
                rack.arrived(now, sent, rtt);
                if !sent.twice {
                    news.original |= sent.end() <= recovery;
                    sampled_sack.get_or_insert(now.since(sent.at));
                    if sent.seq < highest {
                        lowest_late = Some(lowest_late.map_or(sent.seq, |low| low.min(sent.seq)));
                    }
                }
            });
        }
        let mut ambiguous = false;
        while let Some(sent) = self.board.take_acked(segment.ack) {
            news.acked += u32::from(!sent.sacked);
            news.advanced = true;
            ambiguous |= sent.twice;
            if !sent.sacked {
                self.rack.arrived(now, &sent, &self.rtt);
                if !sent.twice {
                    news.original |= sent.end() <= recovery;
                    sample.get_or_insert(now.since(sent.at));
                    recent = Some(now.since(sent.at));
                    if sent.seq < highest {
                        lowest_late = Some(lowest_late.map_or(sent.seq, |low| low.min(sent.seq)));
                    }
                }
            }
        }
        if let Some(low) = lowest_late {
            self.rack.overtaken(((highest - low) / mss.max(1)) as u32);
            self.counts.reorderings += 1;
        }
        if news.advanced {
            let fresh = (segment.ack - self.una) as usize;
            self.buffer.drain(..fresh);
            self.una = segment.ack;
            self.counts.acknowledged = self.una;
            self.timeouts = 0;
            news.restart_timer = true;
        } else if let (Some(sampled), Some(first)) = (sampled_sack, self.board.first()) {
            // Not for what was sent before the oldest was sent last, or the timeout would recede for ever.
            news.restart_timer = sampled > now.since(first.at);
        }
        let sample = if ambiguous { None } else { sample };
        if let Some(sample) = sample.or(sampled_sack) {
            let shortest = if ambiguous { sampled_sack } else { recent.or(sampled_sack) }.unwrap_or(sample);
            self.rtt.shortest(shortest);
            self.window.round_trip(now, shortest.as_micros() as u64);
            self.rtt.sample(sample, self.una, self.nxt);
        } else if news.advanced {
            // The timestamp tells which of the two was answered (RFC 7323, 4).
            let took = Duration::from_millis(u64::from(millis(now).wrapping_sub(segment.echo)));
            self.rtt.sample(took, self.una, self.nxt);
        }
        news
    }

    /// Two round trips of silence: one segment more, so that an acknowledgement tells what is missing.
    fn send_probe(&mut self, now: Micros) {
        if self.probe.is_none() && self.board.packets() > 0 {
            self.counts.probes += 1;
            let packets = self.board.packets();
            self.transmit(now, true);
            let fresh = self.board.packets() > packets;
            if !fresh {
                self.resend(now, self.board.packets() as usize - 1);
            }
            self.probe = Some((self.nxt, !fresh));
        }
        self.timer = None;
        self.restart_timeout(now);
    }

    /// Whether a tail loss probe has repaired a loss, which then was one of congestion like any other (RFC 8985, 7.4).
    fn probed(&mut self, now: Micros, news: &News, ack: u64) {
        let Some((end, resent)) = self.probe else { return };
        if ack < end {
            return;
        }
        if !resent || news.duplicate {
            self.probe = None;
        } else if ack > end {
            self.probe = None;
            if self.state <= State::Disorder {
                self.window.begin_reduction();
                self.window.end_reduction(now);
            }
        } else if !news.advanced && news.sacked == 0 {
            self.probe = None;
        }
    }

    fn time_out(&mut self, now: Micros) {
        if self.board.packets() == 0 {
            return;
        }
        self.counts.timeouts += 1;
        let fresh = self.state <= State::Disorder
            || self.una >= self.recovery
            || (self.state == State::Loss && self.timeouts == 0);
        let mut index = 0;
        while let Some(&sent) = self.board.get(index) {
            // What was sent within a round trip may yet arrive.
            if index == 0 || !self.rack.is_recent(now, &sent) {
                self.board.mark_lost(index);
            }
            index += 1;
        }
        let first = self.state < State::Recovery;
        self.window.collapse(fresh, self.board.in_flight());
        if fresh {
            self.doubt = Some(Doubt::default());
        }
        self.trying = first || self.timeouts > 0;
        self.state = State::Loss;
        self.recovery = self.nxt;
        self.probe = None;
        self.timeouts += 1;
        self.rtt.back_off();
        self.resend(now, 0);
        self.timer = Some((now + self.rtt.timeout(), Timer::Timeout));
    }

    fn retransmit_lost(&mut self, now: Micros) {
        let mut oldest = false;
        while self.board.in_flight() < self.window.size() {
            let Some(index) = self.board.next_lost() else { break };
            if self.state == State::Recovery {
                self.window.sent_in_reduction();
            }
            self.resend(now, index);
            oldest |= index == 0;
        }
        if oldest && !matches!(self.timer, Some((_, Timer::Reorder))) {
            self.timer = Some((now + self.rtt.timeout(), Timer::Timeout));
        }
    }

    fn resend(&mut self, now: Micros, index: usize) {
        let sent = self.board.resend(index, now);
        self.counts.retransmissions += 1;
        if let Some(doubt) = &mut self.doubt {
            doubt.stamp.get_or_insert(millis(now));
            doubt.resent += 1;
            doubt.any = true;
        }
        self.emit(now, sent.seq, sent.length, sent.push);
    }

    /// Sends what is new, as far as the windows allow; one segment beyond the congestion window where it is a probe.
    fn transmit(&mut self, now: Micros, probe: bool) {
        let before = self.board.packets();
        let mut limited = false;
        loop {
            let length = self.unsent().min(self.config.mss);
            if length == 0 {
                break;
            }
            if !probe && self.board.in_flight() >= self.window.size() {
                limited = true;
                break;
            }
            let short = length < self.config.mss && !self.config.nodelay && self.board.packets() > 0;
            let closed = (self.nxt - self.una) as usize + length > self.config.receive_window;
            if closed || (short && !probe) {
                break;
            }
            let push = length == self.unsent();
            let sent = Sent {
                seq: self.nxt,
                length,
                push,
                at: now,
                first: now,
                sacked: false,
                lost: false,
                again: false,
                twice: false,
            };
            let idle = self.board.packets() == 0;
            self.board.push(sent);
            self.emit(now, sent.seq, length, push);
            self.nxt += length as u64;
            if self.state == State::Recovery {
                self.window.sent_in_reduction();
            }
            if idle || matches!(self.timer, Some((_, Timer::Probe))) {
                self.restart_timeout(now);
            }
            if probe {
                break;
            }
        }
        let sent = self.board.packets() > before;
        limited |= self.board.in_flight() >= self.window.size();
        if sent || limited {
            let validation = (self.state == State::Open).then(|| now - self.rtt.timeout());
            self.window.used(now, self.board.packets(), limited, self.una, self.nxt, validation);
        }
        if sent && !probe {
            self.schedule_probe(now, false);
        }
    }

    fn emit(&mut self, now: Micros, seq: u64, length: usize, push: bool) {
        self.counts.segments += 1;
        self.last_sent = now;
        let start = (seq - self.una) as usize;
        let payload: Vec<u8> = self.buffer.range(start..start + length).copied().collect();
        self.out.push_back(Segment { seq, payload, push, stamp: millis(now), ..Segment::default() });
    }

    /// Sets the timer for a tail loss probe, where one may be sent.
    fn schedule_probe(&mut self, now: Micros, fresh: bool) -> bool {
        if self.state != State::Open || self.board.packets() == 0 {
            return false;
        }
        let wait = match self.rtt.smooth() {
            // A single segment's acknowledgement may be delayed.
            Some(rtt) if self.board.packets() == 1 => rtt * 2 + DELAYED,
            Some(rtt) => rtt * 2 + LEAST_TIMER,
            None => INITIAL,
        };
        let timeout = self.rtt.timeout();
        let left = if fresh { timeout } else { self.timeout_at(now).since(now) };
        let wait = if left.is_zero() { wait } else { wait.min(left) };
        self.timer = Some((now + wait, Timer::Probe));
        true
    }

    /// Starts the timeout anew; one that was put off for a probe or a reordering goes on.
    fn restart_timeout(&mut self, now: Micros) {
        self.timer = if self.board.packets() == 0 {
            None
        } else {
            let at = match self.timer {
                Some((_, Timer::Probe | Timer::Reorder)) => self.timeout_at(now).max(now + TICK),
                _ => now + self.rtt.timeout(),
            };
            Some((at, Timer::Timeout))
        };
    }

    /// A timeout after the oldest was sent.
    fn timeout_at(&self, now: Micros) -> Micros {
        self.board.first().map_or(now, |first| first.at) + self.rtt.timeout()
    }
}

/// What a receiver's delayed acknowledgement may take at most (Linux' `TCP_RTO_MIN`).
const DELAYED: Duration = Duration::from_millis(200);
/// Linux' `TCP_TIMEOUT_MIN`.
const LEAST_TIMER: Duration = Duration::from_millis(2);
/// The shortest wait.
const TICK: Duration = Duration::from_millis(1);
