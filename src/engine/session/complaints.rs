//! What strangers make a server say, kept to a trickle: whoever sends a million packets writes no million lines.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use super::sources::TARGET;
use crate::engine::time::Micros;

/// Why something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is in none of the networks allowed.
    NotAllowed,
    /// As many sources as may are playing.
    TooMany,
    /// As many sources, or connections, as one address may have are there.
    TooManyThere,
    /// It speaks in the name of a source that plays from another address.
    WrongSource,
    /// As many connections as may are open.
    TooManyConnections,
    /// It has sent more sound than time has passed, by far.
    TooFast,
    /// It was not sealed with our key.
    WrongKey,
    /// It was not sealed at all.
    NotSealed,
    /// It was opened before, or may have been.
    Replayed,
    /// As [`WrongSource`](Self::WrongSource), and under a foreign key it would share a keystream.
    SharedKeystream,
    /// It seems to be sealed, and there is no key.
    Sealed,
}

/// The refusals, each told at once the first time and then ever more rarely: once a second at most, once a minute while they go on.
#[derive(Debug, Default)]
pub struct Complaints {
    kinds: [Complaint; 11],
}

/// One kind of them.
#[derive(Clone, Copy, Debug, Default)]
struct Complaint {
    /// Not told yet.
    count: u64,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    told: Micros,
    came: Micros,
    pause: Duration,
}

/// Lines about what peers do, in any second: beyond that they are only counted.
#[derive(Debug, Default)]
pub struct Budget {
    second: Micros,
    lines: u32,
    left_out: u64,
}

impl Refusal {
    /// Whether it could not be opened.
    pub const fn is_unauthentic(self) -> bool {
        matches!(self, Self::WrongKey | Self::NotSealed | Self::Replayed | Self::Sealed)
    }

    /// One word for the packet log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongSource | Self::SharedKeystream => "wrong_source",
            _ if self.is_unauthentic() => "unauthentic",
            _ => "refused",
        }
    }

    const fn why(self) -> &'static str {
        match self {
            Self::NotAllowed => "its address is in no network of allow=",
            Self::TooMany => "max_sources= are playing already",
            Self::TooManyThere => "as many as one address may have are there",
            Self::WrongSource => "a source of that ssrc plays from another address",
            Self::TooManyConnections => "as many connections as may are open",
            Self::TooFast => "it has sent ten minutes of sound more than time has passed",
            Self::WrongKey => "it is not authentic: sealed with another key, or damaged on the way",
            Self::NotSealed => "it is not sealed, and key= is set: it needs the same key",
            Self::Sealed => "it looks sealed, and no key= is set here: it takes the same key to hear it",
            Self::Replayed => "it is a replay: such a packet came before",
            Self::SharedKeystream => {
                "a source of that ssrc plays from another address, and with this key both would share a keystream: \
                 give each sender its own ssrc"
            }
        }
    }
}

impl Complaints {
    /// Something from `address` was refused: the line that is to be written, if any.
    pub fn refused(&mut self, why: Refusal, address: SocketAddr, now: Micros) -> Option<String> {
        self.kinds[why as usize].add(now).map(|count| line(why, &address, count))
    }
}

impl Complaint {
    /// One more; how many are to be told of now.
    fn add(&mut self, now: Micros) -> Option<u64> {
        self.count += 1;
        let pause = match self.last {
            Some(last) if now.since(last.told) < last.pause => {
                self.last = Some(Last { came: now, ..last });
                return None;
            }
            // It was quiet meanwhile: as the first time.
            Some(last) if now.since(last.came) >= LONGEST_PAUSE => PAUSE,
            Some(last) => (last.pause * 2).min(LONGEST_PAUSE),
            None => PAUSE,
        };
        self.last = Some(Last { told: now, came: now, pause });
        Some(std::mem::take(&mut self.count))
    }
}

impl Budget {
    /// Whether a line may be written at `now`, and how many were left out in the seconds before, where that is to be told.
    pub fn spend(&mut self, now: Micros) -> (bool, Option<u64>) {
        let mut left_out = None;
        if now.since(self.second) >= Duration::from_secs(1) {
            left_out = Some(std::mem::take(&mut self.left_out)).filter(|count| *count > 0);
            (self.second, self.lines) = (now, 0);
        }
        let may = self.lines < LINES;
        if may {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        (may, left_out)
    }

    /// Whether a line may be written at `now`; tells how many were not.
    pub fn may_tell(&mut self, now: Micros) -> bool {
        let (may, left_out) = self.spend(now);
        if let Some(count) = left_out {
            log::warn!(target: TARGET, "{count} lines of the log were left out: more than {LINES} in a second");
        }
        may
    }
}

fn line(why: Refusal, address: &dyn Display, count: u64) -> String {
    let why = why.why();
    let others =
        if count == 1 { String::new() } else { format!(" ({count} refused so since this was last said)") };
    format!("what comes from {address} is refused: {why}{others}")
}

const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Twice what a sender of 2.5 ms packets whose every other packet is lost takes is left to several of them.
const LINES: u32 = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_at_once_and_then_rarely_with_its_number() {
        let mut complaints = Complaints::default();
        let address = SocketAddr::from(([192, 0, 2, 1], 9));
        let lines: Vec<_> = (0..10_000u64)
            .filter_map(|n| {
                complaints.refused(Refusal::NotAllowed, address, Micros(n * 10_000)).map(|line| (n, line))
            })
            .collect();
        let at: Vec<_> = lines.iter().map(|(n, _)| *n).collect();
        assert_eq!(at, [0, 100, 300, 700, 1500, 3100, 6300]);
        assert_eq!(
            lines[0].1,
            "what comes from 192.0.2.1:9 is refused: its address is in no network of allow="
        );
        assert_eq!(
            lines[1].1,
            "what comes from 192.0.2.1:9 is refused: its address is in no network of allow= \
             (100 refused so since this was last said)"
        );
        // Another kind is another matter, and so is the same one after a quiet minute.
        assert!(complaints.refused(Refusal::TooMany, address, Micros(100_000_000)).is_some());
        assert!(complaints.refused(Refusal::NotAllowed, address, Micros(170_000_000)).is_some());
        assert!(complaints.refused(Refusal::NotAllowed, address, Micros(171_000_000)).is_some());
    }

    #[test]
    fn so_many_lines_a_second_and_the_rest_are_counted() {
        let mut budget = Budget::default();
        let written = (0..100_000u64).filter(|n| budget.spend(Micros(5_000_000 + n * 10)).0).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(budget.spend(Micros(6_000_000)), (true, Some(100_000 - u64::from(LINES))));
        assert_eq!(budget.spend(Micros(7_000_001)), (true, None));
    }
}
