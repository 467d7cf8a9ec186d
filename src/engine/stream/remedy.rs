//! What is done about losses as a receiver reports them: how many copies go, how much later, and what Opus keeps for repair.
//!
//! Guaranteed: where a codec's bitrate can be chosen, copies take their bits from it, so that all that is sent stays as much as it was.

use std::time::Duration;

use crate::engine::codec::{MIN_BITRATE, Settings};
use crate::engine::coding::Coding;
use crate::engine::config::Redundancy;
use crate::engine::exact::exp;
use crate::engine::stats::RemoteStats;
use crate::engine::time::Micros;
use crate::engine::wire::red;

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

    /// How Opus is encoded meanwhile, in packets of this length: the copies and their headers are taken off its bitrate, and where
    /// there are any, packets hold no coarse copy besides.
    pub fn spending(self, settings: Settings, packet: Duration) -> Settings {
        let copies = u32::from(self.copies);
        if copies == 0 {
            return settings;
        }
        let headers = (copies as usize * red::HEADER + 1) as f64 * 8.0 / packet.as_secs_f64().max(0.001);
        let left = settings.bitrate.saturating_sub(headers as u32) / (1 + copies);
        let bitrate = left.clamp(LEAST_SHARE.min(settings.bitrate), settings.bitrate);
        // The codec predicts less where it expects losses: those that copies leave are few, and still some.
        Settings { bitrate, fec: false, loss_percent: settings.loss_percent.min(LEFT_PERCENT), ..settings }
    }
}

/// Prescribes a remedy from report to report: at once where it is needed, and takes it back late.
#[derive(Clone, Copy, Debug)]
pub struct Adviser {
    packet: Duration,
    /// The least spacing, and the most.
    spacing: (u8, u8),
    now: Remedy,
    /// Copies are taken off the codec's bitrate: they cost quality where little is lost.
    is_shared: bool,
    /// The share lost lately, peaks above all.
    lost: f64,
    /// The same as a mean, and how long it has been made.
    mean: f64,
    known: Duration,
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
            is_shared: false,
            lost: 0.0,
            mean: 0.0,
            known: UNKNOWN,
            heard: None,
            calm: None,
            eased: None,
        }
    }

    /// For `coding`: of a codec's copies each costs it bits (see [`Remedy::spending`]), so that the second waits for more than one
    /// bad report.
    #[must_use]
    pub fn coded_as(self, coding: Coding) -> Self {
        Self { is_shared: coding == Coding::Opus, ..self }
    }

    /// Takes a report that came at `now`.
    pub fn hear(&mut self, report: &RemoteStats, now: Micros) -> Remedy {
        let lost = report.fraction_lost.clamp(0.0, 1.0);
        let passed = self.heard.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        // A loss counts at once for the most part; that it is over is believed slowly.
        let weight = if lost > self.lost { 0.5 } else { 1.0 - exp(-passed.div_duration_f64(FADING)) };
        self.lost += weight * (lost - self.lost);
        let told = passed.max(SHORTEST);
        self.known = (self.known + told).min(FADING);
        self.mean += told.div_duration_f64(self.known).min(1.0) * (lost - self.mean);
        let run = self.run(report);
        let (is_much, is_eased) = if self.is_shared {
            let much = if run < BURSTS { MUCH_SHARED } else { MUCH };
            (self.mean > much, self.mean < 0.8 * much)
        } else {
            (lost > MUCH, lost <= MUCH && self.lost <= MUCH / 2.0)
        };
        self.calm = if lost < CALM { self.calm.or(Some(now)) } else { None };
        self.eased = if is_eased { self.eased.or(Some(now)) } else { None };
        let long = |since: Option<Micros>| since.is_some_and(|since| now.since(since) >= PATIENCE);
        let copies = match self.now.copies {
            _ if is_much => MOST_COPIES,
            0 | 1 if lost > SOME => 1,
            _ if long(self.calm) => 0,
            MOST_COPIES if long(self.eased) => 1,
            copies => copies,
        };
        self.now = Remedy { copies, spacing: self.spacing_against(run) };
        self.now
    }

    /// How long packets are.
    pub const fn packet(&self) -> Duration {
        self.packet
    }

    /// What Opus should count on being lost, percent: a little even where nothing is, for the first that will be.
    pub fn loss_percent(&self) -> u8 {
        ((self.lost * 100.0).round() as u8).clamp(LEAST_PERCENT, 100)
    }

    /// How many packets are lost in a row: of losses as dense as RFC 3611's bursts are, a run's mean length follows, as far as
    /// they are independent.
    fn run(&self, report: &RemoteStats) -> f64 {
        report.voice.map_or(1.0, |voice| {
            let in_burst = voice.burst_density * voice.burst_ms / (self.packet.as_secs_f64() * 1e3).max(0.1);
            (1.0 / (1.0 - voice.burst_density.clamp(0.0, 0.99))).min(in_burst)
        })
    }

    /// A copy helps where it does not fall into the same run of losses as its packet: half a run more covers most of them.
    fn spacing_against(&self, run: f64) -> u8 {
        let (least, most) = self.spacing;
        let wanted = if run < LONG_RUN { 1.0 } else { (1.5 * run).round() };
        (wanted as u8).clamp(least, most)
    }
}

/// How far apart copies may be sent, where that is not given: with all of them a talk is still a talk.
pub fn most_spacing(packet: Duration, least: u8) -> u8 {
    let packets = (MOST_DELAY / u32::from(MOST_COPIES)).as_micros() / packet.as_micros().max(1);
    u8::try_from(packets).unwrap_or(u8::MAX).clamp(1, 50).max(least)
}

/// What a codec should count on while copies go, percent: measured, 5 sounds as good, 0 worse.
const LEFT_PERCENT: u8 = 3;
/// A codec is left so much, bits a second, whatever the copies need: below it a voice is no longer understood with ease.
const LEAST_SHARE: u32 = 2 * MIN_BITRATE;
/// Copies that are ever prescribed.
pub const MOST_COPIES: u8 = Redundancy::Auto.most_copies();
/// Above this share lost, one copy goes.
const SOME: f64 = 0.01;
/// Above this, two.
const MUCH: f64 = 0.08;
/// Above this, two that a codec makes room for, where packets are lost one by one: at a tenth one copy and the bits of the second
/// sound better.
const MUCH_SHARED: f64 = 0.14;
/// Packets in a row that are more than chance.
const LONG_RUN: f64 = 1.5;
/// Packets in a row of which the first copy is lost, too.
const BURSTS: f64 = 2.0;
/// What the first report stands for.
const SHORTEST: Duration = Duration::from_millis(100);
/// Before the first it is taken for granted that nothing is lost, as if it had been so for so long.
const UNKNOWN: Duration = Duration::from_secs(2);
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
    fn what_costs_the_codec_bits_waits_for_losses_that_last() {
        let adviser = || Adviser::new(PACKET, 1).coded_as(Coding::Opus);
        let mut sometimes = adviser();
        let lost = |n: u64| 0.2 * f64::from(u8::from(n % 4 == 3));
        let copies: Vec<u8> = (0..120).flat_map(|n| hear(&mut sometimes, n, 1, lost(n))).collect();
        assert_eq!((copies[0], &copies[6..]), (0, &[1; 234][..]), "a twentieth, in every fourth second");
        let mut much = adviser();
        assert_eq!(hear(&mut much, 0, 6, 0.2)[9..], [2; 3]);
        assert_eq!(hear(&mut much, 6, 30, 0.1).last(), Some(&1));
        let voice = RemoteVoice { burst_density: 0.7, burst_ms: 100.0, ..RemoteVoice::default() };
        let bursts = RemoteStats { voice: Some(voice), ..report(0.1) };
        let mut in_bursts = adviser();
        let final_copies = (0..20).map(|n| in_bursts.hear(&bursts, at(n * 500)).copies).last();
        assert_eq!(final_copies, Some(2), "in bursts the second copy is worth more");
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
    fn copies_take_their_bits_from_the_codec_and_not_too_many() {
        let packet = Duration::from_millis(20);
        let all = Settings::default();
        let with = |copies, settings| Remedy { copies, spacing: 1 }.spending(settings, packet);
        assert_eq!(with(0, all), all);
        // Of 20 ms the headers are 2,000 and 3,600 bits a second.
        assert_eq!(with(1, all), Settings { bitrate: 31_000, fec: false, loss_percent: 3, ..all });
        assert_eq!(with(2, all), Settings { bitrate: 20_133, fec: false, loss_percent: 3, ..all });
        let bitrate = |bitrate| with(2, Settings { bitrate, ..all }).bitrate;
        assert_eq!((bitrate(24_000), bitrate(8_000), bitrate(0)), (12_000, 8_000, 0));
        let endless = Remedy { copies: 4, spacing: 1 }.spending(all, Duration::ZERO);
        assert_eq!(endless.bitrate, 12_000);
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
