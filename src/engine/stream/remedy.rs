//! What is done about losses as a receiver reports them: how many copies go, how much later, and what Opus keeps for repair.

use std::time::Duration;

use crate::engine::config::Redundancy;
use crate::engine::stats::RemoteStats;
use crate::engine::time::Micros;

/// Copies, and when they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// Of each packet, besides itself.
    pub copies: u8,
    /// Each so many packets after the last.
    pub spacing: u8,
}

impl Remedy {
    /// How many packets after its own each copy goes.
    pub fn distances(self) -> impl Iterator<Item = u64> {
        (1..=u64::from(self.copies)).map(move |copy| copy * u64::from(self.spacing))
    }

    /// How many packets after its own the last copy goes.
    pub fn reach(self) -> u64 {
        u64::from(self.copies) * u64::from(self.spacing)
    }
}

/// Prescribes a remedy from report to report: at once where it is needed, and takes it back late.
#[derive(Clone, Copy, Debug)]
pub struct Adviser {
    packet: Duration,
    /// The least spacing, and the most.
    spacing: (u8, u8),
    now: Remedy,
    /// The share lost lately.
    lost: f64,
    heard: Option<Micros>,
    /// Since when next to nothing has been lost.
    calm: Option<Micros>,
    /// Since when one copy would have done.
    eased: Option<Micros>,
}

impl Adviser {
    /// For packets of this length; copies go `spacing` packets later at least.
    pub fn new(packet: Duration, spacing: u8) -> Self {
        Self {
            packet,
            spacing: (spacing, most_spacing(packet, spacing)),
            now: Remedy { copies: 0, spacing },
            lost: 0.0,
            heard: None,
            calm: None,
            eased: None,
        }
    }

    /// Takes a report that came at `now`.
    pub fn hear(&mut self, report: &RemoteStats, now: Micros) -> Remedy {
        let lost = report.fraction_lost.clamp(0.0, 1.0);
        let passed = self.heard.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        // A loss counts at once for the most part; that it is over is believed slowly.
        let weight = if lost > self.lost { 0.5 } else { 1.0 - (-passed.div_duration_f64(FADING)).exp() };
        self.lost += weight * (lost - self.lost);
        self.calm = if lost < CALM { self.calm.or(Some(now)) } else { None };
        self.eased = if lost > MUCH || self.lost > MUCH / 2.0 { None } else { self.eased.or(Some(now)) };
        let long = |since: Option<Micros>| since.is_some_and(|since| now.since(since) >= PATIENCE);
        let copies = match self.now.copies {
            _ if lost > MUCH => MOST_COPIES,
            0 | 1 if lost > SOME => 1,
            _ if long(self.calm) => 0,
            MOST_COPIES if long(self.eased) => 1,
            copies => copies,
        };
        self.now = Remedy { copies, spacing: self.spacing_against(report) };
        self.now
    }

    /// What Opus should count on being lost, percent: a little even where nothing is, for the first that will be.
    pub fn loss_percent(&self) -> u8 {
        ((self.lost * 100.0).round() as u8).clamp(LEAST_PERCENT, 100)
    }

    /// A copy helps where it does not fall into the same run of losses as its packet. Of losses as dense as RFC 3611's bursts
    /// are, a run's mean length follows, as far as they are independent; half of that more covers most runs.
    fn spacing_against(&self, report: &RemoteStats) -> u8 {
        let (least, most) = self.spacing;
        let run = report.voice.map_or(1.0, |voice| {
            let in_burst = voice.burst_density * voice.burst_ms / (self.packet.as_secs_f64() * 1e3).max(0.1);
            (1.0 / (1.0 - voice.burst_density.clamp(0.0, 0.99))).min(in_burst)
        });
        let wanted = if run < 1.5 { 1.0 } else { (1.5 * run).round() };
        (wanted as u8).clamp(least, most)
    }
}

/// How far apart copies may be sent, where that is not given: with all of them a talk is still a talk.
pub fn most_spacing(packet: Duration, least: u8) -> u8 {
    let packets = (MOST_DELAY / u32::from(MOST_COPIES)).as_micros() / packet.as_micros().max(1);
    u8::try_from(packets).unwrap_or(u8::MAX).clamp(1, 50).max(least)
}

/// Copies that are ever prescribed.
pub const MOST_COPIES: u8 = Redundancy::Auto.most_copies();
/// Above this share lost, one copy goes.
const SOME: f64 = 0.01;
/// Above this, two.
const MUCH: f64 = 0.08;
/// Below this, none is needed.
const CALM: f64 = 0.005;
/// How long less must have done before less is done.
const PATIENCE: Duration = Duration::from_secs(10);
/// How fast past losses are forgotten.
const FADING: Duration = Duration::from_secs(5);
/// What the last of the copies may add to the delay.
const MOST_DELAY: Duration = Duration::from_millis(120);
const LEAST_PERCENT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::RemoteVoice;

    const PACKET: Duration = Duration::from_millis(10);

    fn report(lost: f64) -> RemoteStats {
        RemoteStats { fraction_lost: lost, ..RemoteStats::default() }
    }

    /// Reports twice a second for so long, from `from` on; what is prescribed after each.
    fn hear(adviser: &mut Adviser, from: u64, seconds: u64, lost: f64) -> Vec<u8> {
        (0..seconds * 2).map(|n| adviser.hear(&report(lost), at(from * 1000 + n * 500)).copies).collect()
    }

    fn at(ms: u64) -> Micros {
        Micros::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn copies_go_as_soon_as_a_loss_is_reported() {
        let mut adviser = Adviser::new(PACKET, 1);
        assert_eq!(hear(&mut adviser, 0, 5, 0.0), [0; 10]);
        assert_eq!(hear(&mut adviser, 5, 1, 0.008), [0; 2]);
        assert_eq!(hear(&mut adviser, 6, 1, 0.02), [1; 2]);
        assert_eq!(hear(&mut adviser, 7, 1, 0.09), [2; 2]);
    }

    #[test]
    fn they_stop_only_after_ten_seconds_without_loss() {
        let mut adviser = Adviser::new(PACKET, 1);
        hear(&mut adviser, 0, 1, 0.02);
        assert_eq!(hear(&mut adviser, 1, 9, 0.0), [1; 18]);
        assert_eq!(hear(&mut adviser, 10, 1, 0.006), [1; 2], "which begins the ten seconds anew");
        let after = hear(&mut adviser, 11, 11, 0.004);
        assert_eq!(after[..20], [1; 20]);
        assert_eq!(after[20..], [0; 2]);
    }

    #[test]
    fn two_become_one_when_one_does_and_none_when_none_is_needed() {
        let mut adviser = Adviser::new(PACKET, 1);
        hear(&mut adviser, 0, 5, 0.2);
        assert_eq!(hear(&mut adviser, 5, 5, 0.02), [2; 10]);
        assert_eq!(hear(&mut adviser, 10, 20, 0.02).last(), Some(&1));
        assert_eq!(hear(&mut adviser, 30, 11, 0.0).last(), Some(&0));
        let mut adviser = Adviser::new(PACKET, 1);
        hear(&mut adviser, 0, 5, 0.2);
        assert_eq!(hear(&mut adviser, 5, 60, 0.07).last(), Some(&2), "so near the line it does not swing");
    }

    #[test]
    fn spacing_follows_the_bursts_within_what_a_talk_bears() {
        let spacing = |packet, least, density, burst_ms| {
            let voice = RemoteVoice { burst_density: density, burst_ms, ..RemoteVoice::default() };
            let report = RemoteStats { voice: Some(voice), ..report(0.1) };
            Adviser::new(packet, least).hear(&report, Micros::ZERO).spacing
        };
        assert_eq!(spacing(PACKET, 1, 0.0, 0.0), 1);
        assert_eq!(spacing(PACKET, 1, 0.2, 500.0), 1, "random losses");
        assert_eq!(spacing(PACKET, 1, 0.55, 300.0), 3);
        assert_eq!(spacing(PACKET, 1, 1.0, 20.0), 3, "runs of two");
        assert_eq!(spacing(PACKET, 1, 1.0, 5_000.0), 6, "60 ms for each of two copies");
        assert_eq!(spacing(Duration::from_millis(60), 1, 1.0, 5_000.0), 1);
        assert_eq!(spacing(PACKET, 8, 0.0, 0.0), 8, "what was asked for is the least");
    }

    #[test]
    fn opus_counts_on_what_is_lost_lately() {
        let mut adviser = Adviser::new(PACKET, 1);
        hear(&mut adviser, 0, 5, 0.0);
        assert_eq!(adviser.loss_percent(), 1);
        hear(&mut adviser, 5, 1, 0.2);
        assert!((12..=20).contains(&adviser.loss_percent()), "{}", adviser.loss_percent());
        hear(&mut adviser, 6, 2, 0.0);
        assert!((6..=15).contains(&adviser.loss_percent()), "{}", adviser.loss_percent());
        hear(&mut adviser, 8, 40, 0.0);
        assert_eq!(adviser.loss_percent(), 1);
    }

    #[test]
    fn any_report_is_borne() {
        let mut adviser = Adviser::new(Duration::ZERO, 50);
        for lost in [f64::MAX, 2.0, -1.0] {
            let voice = RemoteVoice { burst_density: lost, burst_ms: lost, ..RemoteVoice::default() };
            let remedy = adviser.hear(&RemoteStats { voice: Some(voice), ..report(lost) }, Micros::ZERO);
            assert!(remedy.copies <= 2 && remedy.spacing == 50, "{remedy:?}");
        }
    }
}
