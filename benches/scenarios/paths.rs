//! Presets, one lost packet, a spike, and what delay buys.

use std::path::Path;
use std::time::Duration;

use _engine::engine::playout::conceal::Tier;
use _engine::engine::playout::live::Bounds;
use _engine::engine::sim::config::{LinkConfig, Loss};
use _engine::engine::sim::draw::Share;
use _engine::engine::sim::presets;
use _engine::engine::sim::scenario::{START, Scenario};
use _engine::engine::stats::Playback;

use super::play::{Case, Moment, RATE, play};
use super::references::{self, OnArrival, SixteenSlots};
use super::table::{Csv, Table, ms, percent};

/// After this the estimate counts as settled.
const SETTLED: f64 = 30.0;
const LENGTH: Duration = Duration::from_secs(300);
const SEEDS: [u64; 3] = [1, 2, 3];

/// Each preset: packets of three lengths, and the references.
pub fn presets() {
    let heads = [
        "",
        "lost %",
        "target ms",
        "delay ms",
        "p95 ms",
        "late %",
        "concealed %",
        "shorter %",
        "longer %",
        "resets",
    ];
    let mut table = Table::new("Presets: five minutes, three seeds, counted after the first 30 s", &heads);
    let fixed = |delay: u64| Bounds { fixed: Some(Duration::from_millis(delay)), ..Bounds::default() };
    for preset in presets::ALL {
        for (packet, length) in [(220, "5 ms"), (441, "10 ms"), (882, "20 ms")] {
            let sum = Sum::over_seeds(&preset.config, packet, Bounds::default());
            table.row(&format!("{}, {length}", preset.name), sum.cells());
        }
        for delay in [20, 60, 100] {
            let sum = Sum::over_seeds(&preset.config, 441, fixed(delay));
            table.row(&format!("  fixed at {delay} ms"), sum.cells());
        }
        table.row("  on arrival (model)", on_arrival(&preset.config));
    }
    table.print(
        "delay: mean and 95th percentile of what the player states after each block. late: packets received after their \
         time.\nconcealed: of all sound, lost packets included. shorter, longer: periods left out or put in. on arrival: a \
         model of a script\nthat writes each packet to the card as it is received; its concealed sound is silence. Packets \
         of 10 ms where none are named.",
    );
}

/// One lost packet in packets of 20 ms: what it costs at once, and for ever.
pub fn one_lost_packet() {
    let case = Case { packet: 882, length: Duration::from_secs(60), ..case(&LinkConfig::default(), 882) };
    let arrivals = || {
        let scenario = Scenario::new(RATE, 882, case.length);
        // Positions tell the packets: the 500th is taken out.
        scenario.run().enumerate().filter(|(n, _)| *n != 500).map(|(_, a)| a)
    };
    let mut table = Table::new(
        "One lost packet of 20 ms on a perfect path, 10 s after the start",
        &["", "delay before ms", "after ms", "not as sent ms", "received and not heard"],
    );
    let (mut before, mut after, mut last) = (0.0, 0.0, Playback::default());
    play(&case, arrivals(), |m| {
        let delay = m.heard_ms.unwrap_or(m.figures.delay_ms);
        if m.seconds < 9.9 {
            before = delay;
        }
        (after, last) = (delay, m.figures);
    });
    let gone = last.frames_concealed as f64 * 1e3 / f64::from(RATE);
    table.row("ours: concealed", [ms(before), ms(after), ms(gone), last.late_packets.to_string()]);
    let (mut before, mut after, mut silent, mut dropped) = (0.0, 0.0, 0, 0);
    references::play(&case, SixteenSlots::new(), arrivals(), |h| {
        let delay = h.delay_ms.unwrap_or(after);
        if h.seconds < 9.9 {
            before = delay;
        }
        (after, silent, dropped) = (delay, h.silent, h.dropped);
    });
    let gone = silent as f64 * 1e3 / f64::from(RATE);
    table.row("sixteen slots (model): silent", [ms(before), ms(after), ms(gone), dropped.to_string()]);
    table.print(
        "sixteen slots: a model of aiortc's JitterBuffer as it is set up for sound (src/aiortc/jitterbuffer.py: capacity \
         16, prefetch 4),\nwhose packets are played as they leave it. ours: read from the sound itself.",
    );
}

/// A stall of 300 ms after a quiet minute: how far the delay goes, and how soon it is back.
pub fn spike(csv: Option<&Path>) {
    let mut table = Table::new(
        "A spike of 300 ms on a quiet path: packets of 10 ms, delay as read from the sound",
        &[
            "",
            "before ms",
            "highest ms",
            "within 10 ms after s",
            "within 5 ms after s",
            "target 30 s later ms",
            "concealed ms",
            "shorter ms",
        ],
    );
    let at = Duration::from_secs(60);
    let stall = Duration::from_millis(300);
    for name in ["lan", "wifi", "cellular"] {
        let preset = presets::find(name).expect("a preset of ours");
        for seed in SEEDS {
            let link = LinkConfig {
                spike: Share(0),
                reorder: Share(0),
                loss: Loss::default(),
                seed,
                ..preset.config
            };
            let case = Case { length: Duration::from_secs(100), ..case(&link, 441) };
            let scenario = Scenario::new(RATE, 441, case.length).link(link).stall(at, stall);
            let mut before = Mean::default();
            let (mut now, mut highest) = (0.0, 0.0f64);
            let (mut within_10, mut within_5) = (Back::default(), Back::default());
            let (mut first, mut last) = (Playback::default(), Playback::default());
            play(&case, scenario.run(), |m| {
                let Some(delay) = m.heard_ms else { return };
                let since = m.seconds - (at + stall).as_secs_f64();
                if m.seconds < at.as_secs_f64() {
                    if m.seconds > SETTLED {
                        before.add(delay);
                    }
                    (now, first) = (delay, m.figures);
                }
                now += (delay - now) * 0.05;
                highest = if since < 0.0 { 0.0 } else { highest.max(delay) };
                within_10.see(since, now < before.get() + 10.0);
                within_5.see(since, now < before.get() + 5.0);
                last = m.figures;
            });
            let frames = |count: fn(&Playback) -> u64| {
                ms((count(&last) - count(&first)) as f64 * 1e3 / f64::from(RATE))
            };
            table.row(
                &format!("{name}, seed {seed}"),
                [
                    ms(before.get()),
                    ms(highest),
                    ms(within_10.at),
                    ms(within_5.at),
                    ms(last.delay_target_ms),
                    frames(|f| f.frames_concealed),
                    frames(|f| f.frames_accelerated),
                ],
            );
        }
    }
    table.print(
        "the presets without losses, overtaking and spikes of their own. before: the mean of 30 s. after s: since the stall's\n\
         end, from then on for a second at least, the delay smoothed over 0.2 s.",
    );
    if let Some(folder) = csv {
        spike_and_longer_path(folder);
    }
}

/// The curve of the delay over a spike and a path that becomes longer, then shorter.
fn spike_and_longer_path(folder: &Path) {
    let s = Duration::from_secs;
    let ms_of = Duration::from_millis;
    let wifi = presets::find("wifi").expect("a preset of ours");
    let link = LinkConfig { spike: Share(0), seed: 4, ..wifi.config };
    let case = Case { length: s(90), ..case(&link, 441) };
    let scenario = Scenario::new(RATE, 441, case.length)
        .link(link)
        .stall(s(20), ms_of(300))
        .delay(s(45), link.delay + ms_of(60))
        .delay(s(70), link.delay);
    let mut arrivals = Csv::new("seconds,way_ms");
    for a in scenario.run() {
        let way = a.at.since(a.sent + link.delay).as_secs_f64() * 1e3;
        arrivals.line(&[Some(a.at.since(START).as_secs_f64()), Some(way)]);
    }
    arrivals.write(folder, "way.csv");
    let mut delays = Csv::new("seconds,heard_ms,delay_ms,target_ms");
    play(&case, scenario.run(), |m| {
        let figures = &m.figures;
        delays.line(&[Some(m.seconds), m.heard_ms, Some(figures.delay_ms), Some(figures.delay_target_ms)]);
    });
    delays.write(folder, "delay.csv");
}

/// What a longer delay buys, fixed or ours.
pub fn trade(folder: &Path) {
    let mut csv = Csv::new("preset,kind,delay_ms,late_percent,missing_percent");
    for name in ["wifi", "cellular", "congested"] {
        let config = presets::find(name).expect("a preset of ours").config;
        let fixed = [10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 150, 180, 220];
        let fixed =
            fixed.map(|d| ("fixed", Bounds { fixed: Some(Duration::from_millis(d)), ..Bounds::default() }));
        for (kind, bounds) in fixed.into_iter().chain([("ours", Bounds::default())]) {
            let sum = Sum::over_seeds(&config, 441, bounds);
            let late = 100.0 * sum.late as f64 / sum.received as f64;
            csv.named(&[&name, &kind], &[sum.mean(), late, sum.concealed_percent() - sum.lost_percent()]);
        }
    }
    csv.write(folder, "trade.csv");
}

/// The default: the dearest concealment, a card without error.
fn case(link: &LinkConfig, packet: u32) -> Case {
    Case {
        packet,
        card_ppm: 0,
        bounds: Bounds::default(),
        tier: Tier::Ar64,
        length: LENGTH,
        path: link.delay,
    }
}

/// The figures of several seeds after the first half minute.
#[derive(Default)]
struct Sum {
    targets: f64,
    delays: Vec<f64>,
    expected: u64,
    received: u64,
    late: u64,
    resets: u64,
    concealed: u64,
    accelerated: u64,
    expanded: u64,
    frames: u64,
}

impl Sum {
    fn over_seeds(config: &LinkConfig, packet: u32, bounds: Bounds) -> Self {
        let mut sum = Self::default();
        for seed in SEEDS {
            sum.add(LinkConfig { seed, ..*config }, packet, bounds);
        }
        sum
    }

    fn add(&mut self, link: LinkConfig, packet: u32, bounds: Bounds) {
        let case = Case { bounds, ..case(&link, packet) };
        let mut arrivals = Scenario::new(RATE, packet, LENGTH).link(link).run();
        let mut first: Option<(Playback, u64, u64)> = None;
        let mut last: Option<(Playback, u64, u64)> = None;
        play(&case, arrivals.by_ref(), |m: &Moment| {
            if m.seconds < SETTLED {
                return;
            }
            first.get_or_insert((m.figures, m.received, m.expected));
            last = Some((m.figures, m.received, m.expected));
            self.targets += m.figures.delay_target_ms;
            self.delays.push(m.figures.delay_ms);
            self.frames += u64::from(packet);
        });
        let (Some((a, received, expected)), Some((b, all, all_expected))) = (first, last) else { return };
        self.received += all - received;
        self.expected += all_expected - expected;
        self.late += b.late_packets - a.late_packets;
        self.resets += b.resets - a.resets;
        self.concealed += b.frames_concealed - a.frames_concealed;
        self.accelerated += b.frames_accelerated - a.frames_accelerated;
        self.expanded += b.frames_expanded - a.frames_expanded;
    }

    fn mean(&self) -> f64 {
        self.delays.iter().sum::<f64>() / self.delays.len() as f64
    }

    fn lost_percent(&self) -> f64 {
        100.0 * (1.0 - self.received as f64 / self.expected as f64)
    }

    fn concealed_percent(&self) -> f64 {
        100.0 * self.concealed as f64 / self.frames as f64
    }

    fn cells(mut self) -> Vec<String> {
        self.delays.sort_by(f64::total_cmp);
        let frames = self.frames as f64;
        vec![
            format!("{:.2}", self.lost_percent().max(0.0)),
            ms(self.targets / self.delays.len() as f64),
            ms(self.mean()),
            ms(self.delays[self.delays.len() * 95 / 100]),
            percent(self.late as f64, self.received as f64),
            percent(self.concealed as f64, frames),
            percent(self.accelerated as f64, frames),
            percent(self.expanded as f64, frames),
            self.resets.to_string(),
        ]
    }
}

/// When something is first so for a second.
#[derive(Default)]
struct Back {
    at: f64,
    held: bool,
}

impl Back {
    fn see(&mut self, since: f64, within: bool) {
        self.held |= since > 0.0 && within && since > self.at + 1.0;
        if !within && !self.held {
            self.at = since;
        }
    }
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn get(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}

/// The cells of the model that plays on arrival.
fn on_arrival(config: &LinkConfig) -> Vec<String> {
    let (mut delays, mut silent, mut frames) = (Vec::new(), 0, 0);
    for seed in SEEDS {
        let link = LinkConfig { seed, ..*config };
        let case = case(&link, 441);
        let (mut first, mut last) = (None, 0);
        references::play(&case, OnArrival, Scenario::new(RATE, 441, LENGTH).link(link).run(), |h| {
            if h.seconds >= SETTLED {
                delays.extend(h.delay_ms);
                first.get_or_insert(h.silent);
                last = h.silent;
                frames += 441;
            }
        });
        silent += last - first.unwrap_or(0);
    }
    delays.sort_by(f64::total_cmp);
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    let dash = || "–".to_owned();
    let p95 = delays[delays.len() * 95 / 100];
    vec![
        dash(),
        dash(),
        ms(mean),
        ms(p95),
        dash(),
        percent(silent as f64, f64::from(frames)),
        dash(),
        dash(),
        dash(),
    ]
}
