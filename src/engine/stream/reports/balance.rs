//! What came in from a peer against what went out to it: never more out than in, in any second.
//!
//! So nobody can have a third party flooded by speaking in its name: who spoofs has to send at least what he causes. Sound goes out to proved
//! addresses only, and more freely: see [`Balance::of_sound`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::time::Micros;

/// The bytes of the last second, both ways. Bounded.
#[derive(Debug)]
pub struct Balance {
    /// Bytes that had come in all, at some moments of the last second; the first is the oldest.
    came: VecDeque<(Micros, u64)>,
    /// What went out in the last second.
    went: VecDeque<Went>,
    /// What may go out for each byte that came, …
    times: u64,
    /// … and what may where anything has come.
    least: u64,
}

/// What went out within a moment: the times of its first and its last, and its bytes.
#[derive(Clone, Copy, Debug)]
struct Went {
    first: Micros,
    last: Micros,
    bytes: u64,
}

impl Balance {
    /// Nothing came before `now`.
    pub fn new(now: Micros) -> Self {
        Self { came: VecDeque::from([(now, 0)]), went: VecDeque::new(), times: 1, least: 0 }
    }

    /// For sound to an address that is proved to be the peer's own: twice what came, or [`LEAST_SOUND`] where that is more, and nothing
    /// where nothing came. With no more than came, of what is lost on the way here as much would be missing on the way back; and whoever
    /// is silent sends next to nothing by a codec that notices.
    pub fn of_sound(now: Micros) -> Self {
        Self { times: 2, least: LEAST_SOUND, ..Self::new(now) }
    }

    /// By `now` so many bytes have come in all. To be told often: what came between two calls counts as come at the second.
    pub fn came(&mut self, bytes: u64, now: Micros) {
        while self.came.front().is_some_and(|(at, _)| now.since(*at) > SECOND) && self.came.len() > 1 {
            self.came.pop_front();
        }
        if self.came.len() == 1 && self.came.front().is_some_and(|(at, _)| now.since(*at) > SECOND) {
            self.came[0] = (now, bytes);
        }
        if self.came.back().is_none_or(|(at, _)| now.since(*at) >= APART) {
            self.came.push_back((now, bytes));
        }
        while self.went.front().is_some_and(|went| now.since(went.last) >= SECOND) {
            self.went.pop_front();
        }
    }

    /// Whether `length` bytes more may go out, where so many have come in all.
    pub fn may_send(&self, length: usize, bytes: u64) -> bool {
        let before = self.came.front().map_or(bytes, |(_, bytes)| *bytes);
        let went: u64 = self.went.iter().map(|went| went.bytes).sum();
        let came = bytes.saturating_sub(before);
        let least = if came > 0 { self.least } else { 0 };
        went + length as u64 <= (came * self.times).max(least)
    }

    /// So many went out.
    pub fn went(&mut self, length: usize, now: Micros) {
        match self.went.back_mut() {
            Some(went) if now.since(went.first) < APART => {
                (went.last, went.bytes) = (now, went.bytes + length as u64);
            }
            _ => self.went.push_back(Went { first: now, last: now, bytes: length as u64 }),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Moments noted are no closer than this.
const APART: Duration = Duration::from_millis(50);
/// 128 kbit/s: a voice by any codec but PCM, with its headers.
pub const LEAST_SOUND: u64 = 16_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However bytes come and letters are asked for.
        #[test]
        fn in_no_second_more_goes_out_than_came_in(
            steps in prop::collection::vec((0u64..300_000, 0u64..2_000, 0usize..500), 1..300)
        ) {
            let mut now = Micros(3_600_000_000);
            let mut balance = Balance::new(now);
            let (mut total, mut ins, mut outs) = (0, Vec::new(), Vec::new());
            for (wait, came, wanted) in steps {
                now = now + Duration::from_micros(wait);
                total += came;
                ins.push((now, came));
                balance.came(total, now);
                if balance.may_send(wanted, total) {
                    balance.went(wanted, now);
                    outs.push((now, wanted));
                    let late = |at: Micros| now.since(at) < SECOND;
                    let sent: usize = outs.iter().filter(|(at, _)| late(*at)).map(|(_, length)| length).sum();
                    let heard: u64 = ins.iter().filter(|(at, _)| now.since(*at) <= SECOND).map(|(_, length)| length).sum();
                    prop_assert!(sent as u64 <= heard, "{sent} of {heard}");
                }
                prop_assert!(balance.came.len() <= 24 && balance.went.len() <= 24);
            }
        }
    }

    #[test]
    fn a_stream_of_small_packets_earns_its_reports() {
        let mut now = Micros(1_000_000);
        let mut balance = Balance::new(now);
        let mut sent = 0;
        for packet in 1..=500 {
            now = now + Duration::from_millis(20);
            balance.came(packet * 60, now);
            if packet % 25 == 0 && balance.may_send(200, packet * 60) {
                balance.went(200, now);
                sent += 1;
            }
        }
        assert_eq!(sent, 20);
        // And none for what came long ago.
        now = now + Duration::from_secs(2);
        balance.came(30_000, now);
        assert!(!balance.may_send(1, 30_000) && balance.may_send(0, 30_000));
    }

    #[test]
    fn sound_is_not_missing_for_what_was_lost_on_the_way_here_and_ends_with_it() {
        let mut now = Micros(1_000_000);
        let mut balance = Balance::of_sound(now);
        let (mut came, mut sent, mut sent_later) = (0, 0, 0);
        for packet in 0..400 {
            now = now + Duration::from_millis(10);
            // Half of it is lost, and after two seconds all.
            came += if packet < 200 && packet % 2 == 0 { 894 } else { 0 };
            balance.came(came, now);
            if balance.may_send(894, came) {
                balance.went(894, now);
                *(if packet < 200 { &mut sent } else { &mut sent_later }) += 1;
            }
        }
        assert!(sent >= 190, "{sent}");
        assert!(sent_later <= 100, "{sent_later}");
        // A muted client by Opus: a few bytes a packet.
        let mut balance = Balance::of_sound(now);
        let mut sent = 0;
        for packet in 0..100 {
            now = now + Duration::from_millis(10);
            balance.came((packet + 1) * 15, now);
            if balance.may_send(150, (packet + 1) * 15) {
                balance.went(150, now);
                sent += 1;
            }
        }
        assert_eq!(sent, 100);
    }
}
