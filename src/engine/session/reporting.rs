//! Reports between a server and the sources that it hears (RFC 3550 §6): what it hears of them, and what it answers.
//!
//! Guaranteed: nothing is said to anyone who has not sent believed sound over RTP, nor in any second more bytes than came from there. What is
//! said of a source counts only from its own address: the port that it sends from, or the one above.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::outlet::Outlet;
use super::party::{Dice, party, wall_clock};
use crate::engine::ahead;
use crate::engine::coding::Encoding;
use crate::engine::config::ServerConfig;
use crate::engine::format::Format;
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::stats::Reception;
use crate::engine::stream::receiver::Receiver;
use crate::engine::stream::reports::{Equipment, Fate, Hearing, Listener, Party, WallClock};
use crate::engine::time::{Clock, Micros};
use crate::engine::wire::rtcp::{Compound, Packet};

/// The way that a packet took, and an answer takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The other end.
    pub address: SocketAddr,
    /// Our address, where it is known.
    pub local: Option<IpAddr>,
    /// Our port is the one above the one that sound comes to.
    pub beside: bool,
    /// It is a connection.
    pub connected: bool,
}

impl Way {
    /// A connection to there.
    pub fn connection(address: SocketAddr) -> Self {
        Self { connected: true, ..Self::from(address) }
    }
}

impl From<SocketAddr> for Way {
    fn from(address: SocketAddr) -> Self {
        Self { address, local: None, beside: false, connected: false }
    }
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where to.
    pub way: Way,
    /// The compound.
    pub bytes: Vec<u8>,
}

/// The server's side of all its reports.
pub struct Reporting {
    own: Party,
    wall: WallClock,
    dice: Dice,
    /// Nobody is answered in a group.
    answers: bool,
    next: Micros,
    /// Between two rounds at least.
    shortest: Duration,
    /// A source of datagrams sends no reports to the port of its sound.
    pub wants_beside: bool,
}

/// One source's reports.
pub struct Correspondence {
    listener: Listener,
    /// Where answers go; `None` before anything was believed.
    way: Way,
    connected: bool,
    first_heard: Micros,
    /// When a report came last.
    last_heard: Micros,
    /// Reports come to the port of the sound.
    is_muxed: bool,
    /// When it said goodbye.
    left: Option<Micros>,
    /// When fates were settled last, and up to which sequence number they may be next time.
    settled: Micros,
    settle_to: Option<u64>,
    late: u64,
}

/// A source's parts that its reports are made of.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its sound.
    pub encoding: Encoding,
    /// What has come.
    pub receiver: &'a Receiver,
    /// What becomes of it.
    pub outlet: &'a Outlet,
    /// When its last packet came.
    pub last_arrival: Micros,
}

impl Reporting {
    /// Nothing said yet.
    pub fn new(name: Option<String>) -> Self {
        let mut dice = Dice::new();
        let own = party(dice.bits() as u32, name);
        let wall = wall_clock(Clock::new());
        Self {
            own,
            wall,
            dice,
            answers: true,
            next: Micros::ZERO,
            shortest: SHORTEST_REST,
            wants_beside: false,
        }
    }

    /// Takes the session's clock, and whether the server was bound to a group, whose members nobody answers.
    pub fn begin(&mut self, clock: Clock, is_group: bool) {
        self.wall = wall_clock(clock);
        self.answers = !is_group;
    }

    /// The wall clock of what is said.
    pub const fn wall(&self) -> WallClock {
        self.wall
    }

    /// Who we are to the sources.
    pub const fn ssrc(&self) -> u32 {
        self.own.ssrc
    }

    /// Speaks as somebody known, and takes the session's clock.
    pub fn begin_as(&mut self, own: Party, clock: Clock) {
        self.own = own;
        self.begin(clock, false);
    }

    /// How long until there is something to do, `most` at most.
    pub fn patience(&self, now: Micros, most: Duration) -> Duration {
        self.next.since(now).min(most)
    }

    /// Whether there may be something to do.
    pub fn is_due(&self, now: Micros) -> bool {
        now >= self.next
    }

    /// There is something to do.
    pub fn hurry(&mut self, now: Micros) {
        self.next = self.next.min(now);
    }

    /// Nothing is to do before anybody's turn: see [`turn`](Self::turn). There are so many.
    pub fn rest(&mut self, now: Micros, sources: usize) {
        self.next = now + LONGEST_REST;
        self.shortest = (REST_EACH * sources as u32).clamp(SHORTEST_REST, LONGEST_REST);
    }

    /// One source's turn: its fates are settled, a report is written where one is due. And whether a goodbye is to be carried
    /// out.
    pub fn turn(
        &mut self,
        reports: &mut Correspondence,
        subject: Subject<'_>,
        config: &ServerConfig,
        now: Micros,
    ) -> (Option<Letter>, bool) {
        let Subject { encoding, receiver, outlet, last_arrival } = subject;
        reports.settle(receiver, outlet.counters(), now);
        let is_over = reports.is_over(last_arrival, now);
        if !reports.connected && !reports.is_muxed && now.since(reports.first_heard) > BESIDE_AFTER {
            self.wants_beside = true;
        }
        reports.listener.came(receiver.reception().bytes, now);
        let mut letter = None;
        let answers = self.answers && reports.is_read();
        if answers && now >= reports.listener.next() {
            let hearing = hearing(encoding, receiver, outlet, config);
            let mut bytes = Vec::new();
            let Self { own, wall, dice, .. } = self;
            let chance = &mut || dice.chance();
            if reports.listener.report(own, &hearing, now, wall.at(now), chance, &mut bytes) {
                letter = Some(Letter { way: reports.way, bytes });
            }
        }
        let mut next = now + LONGEST_REST;
        if answers {
            next = next.min(reports.listener.next());
        }
        if let Some(left) = reports.left {
            next = next.min(left.max(last_arrival) + GRACE);
        }
        // Many sources are served together, all of them each time: the more, the less often.
        self.next = self.next.min(next.max(now + self.shortest));
        (letter, is_over)
    }

    /// The goodbye to one source, where we have reported to it.
    pub fn goodbye(&self, reports: &mut Correspondence, reception: &Reception) -> Option<Letter> {
        let mut bytes = Vec::new();
        let said = self.answers && reports.listener.goodbye(&self.own, reception, &mut bytes);
        said.then_some(Letter { way: reports.way, bytes })
    }
}

impl Correspondence {
    /// With a source `ssrc` that was heard first at `now`, at `address`.
    pub fn new(ssrc: u32, format: Format, way: Way, connected: bool, now: Micros) -> Self {
        let bits = format.rate() as f64 * format.frame_bytes() as f64 * 8.0;
        let listener = Listener::new(ssrc, bits, now);
        Self {
            listener: if connected { listener.proved() } else { listener },
            way,
            connected,
            first_heard: now,
            last_heard: now,
            is_muxed: false,
            left: None,
            settled: now,
            settle_to: None,
            late: 0,
        }
    }

    /// Takes a compound that came from the source's own address or the port above it; true where it says goodbye.
    pub fn hear(
        &mut self,
        reporting: &mut Reporting,
        compound: Compound<'_>,
        way: Way,
        arrival: Micros,
    ) -> bool {
        self.way = way;
        self.last_heard = arrival;
        self.is_muxed |= !way.beside;
        let ntp = reporting.wall.at(arrival);
        let goodbye = self.listener.hear(compound, reporting.own.ssrc, arrival, ntp);
        if goodbye.is_some() {
            self.left = Some(arrival);
            reporting.hurry(arrival);
        }
        goodbye.is_some()
    }

    /// Whether answers are read. Who does not read them from a connection, and closes it, resets it: what it had sent last would
    /// be lost on our side. (`GStreamer`'s `tcpclientsink` never reads.) So on a connection the other end has to begin.
    fn is_read(&self) -> bool {
        !self.connected || self.is_muxed
    }

    /// The way that sound may take to it: `None` before its address is proved, where it does not read what is said, and in a group.
    /// Its port is the source's own.
    pub fn way_of_sound(&self, reporting: &Reporting) -> Option<Way> {
        let may = reporting.answers && self.is_read() && self.listener.is_proved();
        may.then_some(Way { beside: false, ..self.way })
    }

    /// Has the processor fetch what a packet needs.
    pub fn fetch(&self) {
        ahead::fetch(&self.way);
    }

    /// Answers go where the last packet came from: it may be another address of ours.
    pub fn came(&mut self, way: Way) {
        if self.way.address == way.address {
            self.way.local = way.local;
        }
    }

    /// When a report came last; at the beginning, when it began.
    pub const fn last_heard(&self) -> Micros {
        self.last_heard
    }

    /// What is known of the source by its reports.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Whether a goodbye is to be carried out: nothing has come after it. A forged one so does nothing while packets come.
    fn is_over(&mut self, last_arrival: Micros, now: Micros) -> bool {
        let Some(left) = self.left else { return false };
        if last_arrival > left + GRACE {
            self.left = None;
            return false;
        }
        let is_over = now.since(left.max(last_arrival)) >= GRACE;
        if is_over {
            self.left = None;
        }
        is_over
    }

    /// Twice a second: what had come half a second ago and is not there by now is lost.
    fn settle(&mut self, receiver: &Receiver, counters: Option<&PlayerCounters>, now: Micros) {
        if now.since(self.settled) < SETTLE_EVERY {
            return;
        }
        self.settled = now;
        let Some((lowest, highest)) = receiver.span() else { return };
        let Some(end) = self.settle_to.replace(highest + 1) else { return };
        let late = counters.filter(|counters| counters.late() != self.late);
        self.late = counters.map_or(self.late, PlayerCounters::late);
        self.listener.settle(lowest, end, |sequence| {
            if !receiver.was_received(sequence) {
                Fate::Lost
            } else if late.is_some_and(|counters| counters.was_late(sequence)) {
                Fate::Late
            } else {
                Fate::Good
            }
        });
    }
}

/// The identifiers that a compound speaks for: its own, and those that leave. A few at most: nobody has more.
pub fn speakers(compound: Compound<'_>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut add = |ssrc| {
        if found.len() < MOST_SPEAKERS && !found.contains(&ssrc) {
            found.push(ssrc);
        }
    };
    for packet in compound.packets() {
        match packet {
            Packet::SenderReport { ssrc, .. }
            | Packet::ReceiverReport { ssrc, .. }
            | Packet::Extended { ssrc, .. } => add(ssrc),
            Packet::Description(chunks) => chunks.iter().for_each(|chunk| add(chunk.ssrc)),
            Packet::Goodbye(goodbye) => goodbye.sources().for_each(&mut add),
            Packet::Application { .. } | Packet::Other(_) => {}
        }
    }
    found
}

/// What is known of a source for a report of it.
pub fn hearing(encoding: Encoding, receiver: &Receiver, outlet: &Outlet, config: &ServerConfig) -> Hearing {
    let reception = receiver.reception();
    let playback = outlet.counters().map(PlayerCounters::snapshot).unwrap_or_default();
    let ms = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
    let (lowest, highest) = receiver.span().unwrap_or_default();
    Hearing {
        reception,
        lowest,
        highest,
        drift_ppm: playback.drift_ppm,
        packet: encoding.format.duration(receiver.mean_frames() as u64),
        delay: ms(playback.delay_ms),
        target: ms(playback.delay_target_ms),
        limit: config.max_delay(),
        is_adaptive: config.delay.is_none(),
        equipment: config
            .quality
            .then(|| Equipment::of(receiver.encoding().coding, !config.output.is_whole())),
    }
}

/// How long after a goodbye nothing may come for it to count: packets that it has overtaken are let in.
const GRACE: Duration = Duration::from_millis(100);
/// How often fates are settled.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// A source that has sent no reports to its port by then is expected to send them to the one above.
const BESIDE_AFTER: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_millis(250);
const SHORTEST_REST: Duration = Duration::from_millis(20);
const REST_EACH: Duration = Duration::from_micros(50);
const MOST_SPEAKERS: usize = 32;

#[cfg(test)]
mod tests;
