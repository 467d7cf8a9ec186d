//! A link whose rate changes as one that was measured: Mahimahi's traces (Netravali et al., USENIX ATC 2015).
//!
//! Each line is a moment in whole milliseconds at which 1,504 bytes may leave; a moment may be named more than once. The
//! last line is the trace's length: it begins anew there. Small packets share a moment, a packet that does not fit goes on at
//! the next, and a moment at which nothing waits is gone.

use std::time::Duration;

use crate::engine::error::{Error, Result};
use crate::engine::time::Micros;

/// A trace, and the queue before it. It is kept for the program's life, so that a path's settings can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The file it was read from.
    pub name: &'static str,
    /// The moments, ms, none before the one in front of it; the last is above 0.
    moments: &'static [u32],
    /// How long a packet may wait for its first byte to leave; one that would wait longer is dropped.
    pub queue: Duration,
}

/// How far one direction of a link is in its trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// When the first packet came: the trace's beginning.
    start: Option<Micros>,
    /// Moments that are used up, counted through all rounds, and what may still leave at the one before.
    used: u64,
    left: usize,
}

impl Trace {
    /// A trace of `moments` as [`moments`] has read them.
    pub fn new(name: &'static str, moments: &'static [u32]) -> Option<Self> {
        let valid = moments.is_sorted() && moments.last().is_some_and(|&last| last > 0);
        valid.then_some(Self { name, moments, queue: QUEUE })
    }

    /// How many moments it has.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Whether it has these moments.
    pub fn is(&self, moments: &[u32]) -> bool {
        self.moments == moments
    }

    /// Its mean rate, bits a second.
    pub fn bits_per_second(&self) -> u64 {
        (self.moments.len() * MOMENT_BYTES * 8) as u64 * 1000 / u64::from(self.period())
    }

    /// When a packet of `bytes` bytes that comes at `now` has left; `None` where it would wait too long.
    pub fn pass(&self, progress: &mut Progress, now: Micros, bytes: usize) -> Option<Micros> {
        let start = *progress.start.get_or_insert(now);
        let (mut used, mut left) = (progress.used, progress.left);
        let first = self.first_from(now.since(start));
        if left == 0 || used <= first {
            // The moment begun is over, or all of it is used.
            used = used.max(first) + 1;
            left = MOMENT_BYTES;
        }
        if (start + self.time(used - 1)).since(now) > self.queue {
            return None;
        }
        let bytes = bytes.max(1);
        let more = bytes.saturating_sub(left).div_ceil(MOMENT_BYTES);
        progress.used = used + more as u64;
        progress.left = left + more * MOMENT_BYTES - bytes;
        Some(start + self.time(progress.used - 1))
    }

    /// The first moment that is not before `after` the start.
    fn first_from(&self, after: Duration) -> u64 {
        let ms = (after.as_micros() as u64).div_ceil(1000);
        let (round, within) = (ms / u64::from(self.period()), (ms % u64::from(self.period())) as u32);
        let index = self.moments.partition_point(|&at| at < within);
        // A moment at the very end of a round is at the beginning of the next.
        let shared = if within == 0 && round > 0 {
            self.moments.len() - self.moments.partition_point(|&at| at < self.period())
        } else {
            0
        };
        round * self.moments.len() as u64 + index as u64 - shared as u64
    }

    fn time(&self, moment: u64) -> Duration {
        let count = self.moments.len() as u64;
        let within = self.moments[(moment % count) as usize];
        Duration::from_millis(moment / count * u64::from(self.period()) + u64::from(within))
    }

    fn period(&self) -> u32 {
        self.moments.last().copied().unwrap_or(1)
    }
}

/// Reads a trace's text; `name` is for what an error says.
pub fn moments(name: &str, text: &str) -> Result<Vec<u32>> {
    let mut moments = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at: u32 = line.trim().parse().map_err(|_| {
            Error::config(format!(
                "network: {name}, line {}: a whole number of ms must stand here",
                number + 1
            ))
        })?;
        if moments.last().is_some_and(|&last| at < last) {
            let line = number + 1;
            return Err(Error::config(format!(
                "network: {name}, line {line}: {at} ms is before the line above"
            )));
        }
        moments.push(at);
    }
    if moments.last().is_none_or(|&last| last == 0) {
        return Err(Error::config(format!("network: {name}: a trace needs a line above 0 ms")));
    }
    Ok(moments)
}

/// What may leave at a moment.
const MOMENT_BYTES: usize = 1504;
/// Mobile networks have deep queues.
const QUEUE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trace(text: &str) -> Trace {
        Trace::new("test", moments("test", text).unwrap().leak()).unwrap()
    }

    /// When packets that come at these ms have left, in ms.
    fn departures(trace: &Trace, packets: &[(u64, usize)]) -> Vec<Option<u64>> {
        let mut progress = Progress::default();
        let start = Micros(7_000_000);
        let pass = |&(at, bytes): &(u64, usize)| {
            let out = trace.pass(&mut progress, start + Duration::from_millis(at), bytes);
            out.map(|out| out.since(start).as_millis() as u64)
        };
        packets.iter().map(pass).collect()
    }

    #[test]
    fn packets_leave_at_their_moments_and_the_trace_loops() {
        let trace = trace("0\n10\n10\n30\n");
        let full = |at| (at, 1504);
        // The moment 0 of the second round is at 30, like the last of the first.
        assert_eq!(
            departures(&trace, &[full(0), full(0), full(0), full(1), full(2), full(2), full(100)]),
            [0, 10, 10, 30, 30, 40, 100].map(Some)
        );
    }

    #[test]
    fn small_packets_share_a_moment_and_long_ones_take_several() {
        let trace = trace("10\n20\n");
        assert_eq!(
            departures(&trace, &[(0, 700), (0, 700), (0, 200), (11, 1504), (60, 4000)]),
            [10, 10, 20, 30, 80].map(Some)
        );
    }

    #[test]
    fn a_packet_that_would_wait_too_long_is_dropped() {
        let mut trace = trace("10\n20\n");
        trace.queue = Duration::from_millis(25);
        let at_once = departures(&trace, &[(0, 1504); 5]);
        assert_eq!(at_once, [Some(10), Some(20), None, None, None]);
    }

    #[test]
    fn the_mean_rate_is_what_gets_through() {
        let trace = trace("3\n3\n7\n12\n");
        assert_eq!(trace.bits_per_second(), 4 * 1504 * 8 * 1000 / 12);
        let mut progress = Progress::default();
        let passed =
            (0..60_000u64).filter(|n| trace.pass(&mut progress, Micros(n * 1000), 1504).is_some()).count();
        let rate = passed as f64 * 1504.0 * 8.0 / 60.0;
        assert!((rate / trace.bits_per_second() as f64 - 1.0).abs() < 0.02, "{rate}");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, said) in
            [("", "above 0"), ("0\n0", "above 0"), ("5\nx", "line 2"), ("-1", "line 1"), ("5\n4", "before")]
        {
            let error = moments("lte.up", text).unwrap_err();
            assert!(error.message().contains(said) && error.message().contains("lte.up"), "{error}");
        }
        assert_eq!(moments("a", "1\r\n\n 2 \n").unwrap(), [1, 2]);
    }

    proptest! {
        #[test]
        fn nothing_leaves_early_or_out_of_order(
            mut at in prop::collection::vec(0u32..100, 1..10), packets in prop::collection::vec((0u64..50_000, 0usize..5000), 1..50),
        ) {
            at.sort_unstable();
            at.push(at.last().copied().unwrap_or(0) + 1);
            let trace = Trace::new("test", at.leak()).unwrap();
            let (mut progress, mut now, mut last) = (Progress::default(), Micros(1), Micros(0));
            for (wait, bytes) in packets {
                now = now + Duration::from_micros(wait);
                if let Some(out) = trace.pass(&mut progress, now, bytes) {
                    prop_assert!(out >= now && out >= last);
                    last = out;
                }
            }
        }
    }
}
