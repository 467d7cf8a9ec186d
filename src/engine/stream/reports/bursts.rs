//! Bursts and gaps (RFC 3611 §4.7.2): whether losses come alone or together, which is what ears mind.
//!
//! A burst is a longest run of packets that begins and ends with a bad one (lost, or too late to be played) and
//! nowhere holds [`GMIN`] good ones in a row; one bad packet alone makes none. All else is gaps. Counted from the
//! definition, in whole packets, not by the appendix's estimate from transitions.

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was there in time.
    Good,
    /// It never came.
    Lost,
    /// It came too late to be played.
    Late,
}

/// Counts fates in order of the sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bursts {
    packets: u64,
    lost: u64,
    late: u64,
    /// Bursts that are over.
    over: Sum,
    /// What may become a burst: its packets so far, from the first bad one to the last.
    open: Sum,
    /// Good packets since the last bad one of `open`.
    since: u64,
    /// Runs of bad packets with no good one between.
    runs: u64,
    /// The first burst began with the first packet, so that no gap is before it.
    begins_bad: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    packets: u64,
    bad: u64,
}

/// What was found: shares of packets, 0 to 1, and mean lengths in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Lost, of all.
    pub loss: f64,
    /// Late, of all.
    pub late: f64,
    /// Bad ones, of the packets in bursts.
    pub burst_density: f64,
    /// Bad ones, of the packets in gaps.
    pub gap_density: f64,
    /// The mean burst.
    pub burst_packets: f64,
    /// The mean gap.
    pub gap_packets: f64,
    /// The mean run of bad packets with no good one between.
    pub bad_run: f64,
}

impl Bursts {
    /// The next packet's.
    pub fn push(&mut self, fate: Fate) {
        self.packets += 1;
        match fate {
            Fate::Good => return self.good(),
            Fate::Lost => self.lost += 1,
            Fate::Late => self.late += 1,
        }
        if self.open.bad == 0 {
            self.begins_bad |= self.packets == 1;
            self.since = 0;
        }
        self.runs += u64::from(self.open.bad == 0 || self.since > 0);
        self.open.packets += self.since + 1;
        self.open.bad += 1;
        self.since = 0;
    }

    /// Whether no packet's fate is known.
    pub const fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// All figures as they are now; a run of bad packets that is not over counts as far as it has come.
    pub fn figures(&self) -> Figures {
        let bursts = if self.open.bad >= 2 { self.over.and(self.open) } else { self.over };
        let gap_packets = self.packets - bursts.packets;
        let gap_bad = self.lost + self.late - bursts.bad;
        // Before the first, between two, after the last.
        let ends_bad = self.open.bad >= 2 && self.since == 0;
        let begins_bad = self.begins_bad && bursts.count > 0;
        let gaps = bursts.count + 1 - u64::from(begins_bad) - u64::from(ends_bad);
        Figures {
            loss: share(self.lost, self.packets),
            late: share(self.late, self.packets),
            burst_density: share(bursts.bad, bursts.packets),
            gap_density: share(gap_bad, gap_packets),
            burst_packets: share(bursts.packets, bursts.count),
            gap_packets: share(gap_packets, gaps),
            bad_run: share(self.lost + self.late, self.runs),
        }
    }

    fn good(&mut self) {
        if self.open.bad == 0 {
            return;
        }
        self.since += 1;
        if self.since == GMIN {
            if self.open.bad >= 2 {
                self.over = self.over.and(self.open);
            } else if self.over.count == 0 {
                // It was no burst that the first packet began.
                self.begins_bad = false;
            }
            self.open = Sum::default();
        }
    }
}

impl Sum {
    /// With one burst more.
    fn and(self, burst: Self) -> Self {
        Self { count: self.count + 1, packets: self.packets + burst.packets, bad: self.bad + burst.bad }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// So many good packets in a row end a burst: the RFC's recommendation.
pub const GMIN: u64 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figures(fates: &[Fate]) -> Figures {
        let mut bursts = Bursts::default();
        for fate in fates {
            bursts.push(*fate);
        }
        bursts.figures()
    }

    /// `.` good, `x` lost, `l` late.
    fn of(text: &str) -> Vec<Fate> {
        let fate = |c| match c {
            'x' => Fate::Lost,
            'l' => Fate::Late,
            _ => Fate::Good,
        };
        text.chars().map(fate).collect()
    }

    #[test]
    fn a_loss_alone_is_no_burst() {
        let good = ".".repeat(20);
        let f = figures(&of(&format!("{good}x{good}l{good}")));
        assert_eq!((f.burst_density, f.burst_packets), (0.0, 0.0));
        assert_eq!((f.gap_packets, f.gap_density), (62.0, 2.0 / 62.0));
        assert_eq!((f.loss, f.late), (1.0 / 62.0, 1.0 / 62.0));
    }

    #[test]
    fn fifteen_good_packets_do_not_end_a_burst_and_sixteen_do() {
        let long = ".".repeat(40);
        for (between, density, packets) in [(15, 2.0 / 17.0, 17.0), (16, 0.0, 0.0)] {
            let f = figures(&of(&format!("{long}x{}x{long}", ".".repeat(between))));
            assert_eq!((f.burst_density, f.burst_packets), (density, packets), "{between}");
        }
    }

    #[test]
    fn bursts_and_gaps_have_their_mean_lengths() {
        let (gap, long) = (".".repeat(30), ".".repeat(50));
        let f = figures(&of(&format!("{gap}xx{gap}xlxx{long}")));
        assert_eq!((f.burst_packets, f.burst_density), (3.0, 1.0));
        assert_eq!((f.gap_packets, f.gap_density, f.bad_run), (110.0 / 3.0, 0.0, 3.0));
        // A burst that is still going on counts; there is no gap before one at the start, nor after one at the end.
        let f = figures(&of(&format!("xx{gap}x.x")));
        assert_eq!((f.burst_packets, f.burst_density, f.gap_packets), (2.5, 4.0 / 5.0, 30.0));
    }

    #[test]
    fn nothing_received_has_no_figures() {
        assert_eq!(figures(&[]), Figures::default());
    }

    /// The definition, without cleverness.
    fn by_definition(fates: &[Fate]) -> Figures {
        let bad: Vec<bool> = fates.iter().map(|fate| *fate != Fate::Good).collect();
        let mut in_burst = vec![false; bad.len()];
        let places: Vec<usize> = (0..bad.len()).filter(|place| bad[*place]).collect();
        for two in places.windows(2) {
            if two[1] - two[0] - 1 < GMIN as usize {
                in_burst[two[0]..=two[1]].fill(true);
            }
        }
        // Two bursts never touch: sixteen packets at least are between them.
        let runs =
            |wanted: bool| in_burst.chunk_by(|a, b| a == b).filter(|run| run[0] == wanted).count() as u64;
        let count = |f: &dyn Fn(usize) -> bool| (0..bad.len()).filter(|place| f(*place)).count() as u64;
        let (bursts, gaps) = (count(&|p| in_burst[p]), count(&|p| !in_burst[p]));
        Figures {
            loss: share(count(&|p| fates[p] == Fate::Lost), bad.len() as u64),
            late: share(count(&|p| fates[p] == Fate::Late), bad.len() as u64),
            burst_density: share(count(&|p| in_burst[p] && bad[p]), bursts),
            gap_density: share(count(&|p| !in_burst[p] && bad[p]), gaps),
            burst_packets: share(bursts, runs(true)),
            gap_packets: share(gaps, runs(false)),
            bad_run: share(
                count(&|p| bad[p]),
                bad.chunk_by(|a, b| a == b).filter(|run| run[0]).count() as u64,
            ),
        }
    }

    proptest! {
        #[test]
        fn they_are_the_definition(
            runs in prop::collection::vec((0usize..40, prop::sample::select(vec![Fate::Lost, Fate::Late]), 0usize..4), 0..30),
        ) {
            let fates: Vec<Fate> = runs
                .into_iter()
                .flat_map(|(good, bad, count)| std::iter::repeat_n(Fate::Good, good).chain(std::iter::repeat_n(bad, count)))
                .collect();
            prop_assert_eq!(figures(&fates), by_definition(&fates));
        }
    }
}
