//! Two clocks that differ: by what sound cards differ, and by far more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use _engine::engine::format::Format;
use _engine::engine::playout::conceal::Tier;
use _engine::engine::playout::live::Bounds;
use _engine::engine::playout::player::Player;
use _engine::engine::playout::render::{Render, Renderer, Starved};
use _engine::engine::sim::clock::SoundCard;
use _engine::engine::sim::config::LinkConfig;
use _engine::engine::sim::draw::Share;
use _engine::engine::sim::presets;
use _engine::engine::sim::scenario::{Arrival, START, Scenario};
use _engine::engine::stats::Playback;
use _engine::engine::stream::queue::{Head, Position, packet_queue};

use super::fit;
use super::play::{Case, RATE, play};
use super::references::{self, FilledOnce};
use super::table::{Csv, Table, ms};

/// Half an hour with the sender's clock and the card's apart.
pub fn convergence(csv: Option<&Path>) {
    const LENGTH: Duration = Duration::from_secs(1800);
    let mut table = Table::new(
        "Drift: half an hour, packets of 10 ms",
        &[
            "",
            "found ppm",
            "within 20 ppm after s",
            "delay off, worst ms",
            "after 4 min ms",
            "concealed ms",
            "shorter ms",
            "longer ms",
            "resets",
        ],
    );
    let quiet = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
    let lan = presets::find("lan").expect("a preset of ours").config;
    let wifi = presets::find("wifi").expect("a preset of ours").config;
    let wifi = LinkConfig { spike: Share(0), ..wifi };
    let paths = [("perfect path", quiet), ("lan", lan), ("wifi without spikes", wifi)];
    for (name, link) in paths {
        for (sender, card) in [(150, -150), (-150, 150), (0, 0)] {
            let case = case(&link, card, LENGTH);
            let truth = f64::from(sender - card);
            let (mut found, mut worst, mut worst_later) = (0.0, 0.0f64, 0.0f64);
            let mut window = Vec::with_capacity(1_000);
            let mut last = Playback::default();
            play(
                &case,
                Scenario::new(RATE, 441, LENGTH)
                    .link(LinkConfig { seed: 1, ..link })
                    .sender_ppm(sender)
                    .run(),
                |m| {
                    if (m.figures.drift_ppm - truth).abs() > 20.0 {
                        found = m.seconds;
                    }
                    window.push(m.figures.delay_ms - m.figures.delay_target_ms);
                    if window.len() == 1_000 {
                        window.sort_by(f64::total_cmp);
                        let off = window[500].abs();
                        window.clear();
                        worst = worst.max(off);
                        if m.seconds > 240.0 {
                            worst_later = worst_later.max(off);
                        }
                    }
                    last = m.figures;
                },
            );
            let frames = |count: u64| ms(count as f64 * 1e3 / f64::from(RATE));
            table.row(
                &format!("{name}, {truth:+} ppm"),
                [
                    format!("{:+.1}", last.drift_ppm),
                    format!("{found:.0}"),
                    ms(worst),
                    ms(worst_later),
                    frames(last.frames_concealed),
                    frames(last.frames_accelerated),
                    frames(last.frames_expanded),
                    last.resets.to_string(),
                ],
            );
        }
    }
    table.print("off: how far the delay is from its target, the worst of the medians of 10 s.");
    if let Some(folder) = csv {
        levels(&quiet, folder);
    }
}

/// The delay over ten minutes with and without correction.
fn levels(link: &LinkConfig, folder: &Path) {
    const LENGTH: Duration = Duration::from_secs(600);
    let mut csv = Csv::new("ppm,kind,seconds,delay_ms");
    for (sender, card) in [(150, -150), (-150, 150)] {
        let truth = sender - card;
        let case = case(link, card, LENGTH);
        let scenario = || Scenario::new(RATE, 441, LENGTH).link(*link).sender_ppm(sender).run();
        let mut n = 0u32;
        play(&case, scenario(), |m| {
            n += 1;
            if n.is_multiple_of(50) {
                csv.named(&[&truth, &"ours"], &[m.seconds, m.figures.delay_ms]);
            }
        });
        references::play(&case, FilledOnce::new(4), scenario(), |h| {
            n += 1;
            if n.is_multiple_of(50) {
                csv.named(&[&truth, &"none"], &[h.seconds, h.delay_ms.unwrap_or(f64::NAN)]);
            }
        });
    }
    csv.write(folder, "drift.csv");
}

/// A day of levels alone: silence at 8 kHz through the whole player.
#[allow(clippy::disallowed_methods, reason = "how long it took is one of the figures")]
pub fn day() {
    const LENGTH: Duration = Duration::from_secs(86_400);
    let mut table = Table::new(
        "Drift: 24 h on levels alone, packets of 10 ms, lan",
        &[
            "",
            "found ppm",
            "delay off, worst s ms",
            "after 1 min ms",
            "underruns",
            "late",
            "resets",
            "took s",
        ],
    );
    let lan = presets::find("lan").expect("a preset of ours").config;
    for ppm in [300, -300] {
        let began = std::time::Instant::now();
        let (mut worst, mut later) = (0.0f64, 0.0f64);
        let mut second = Vec::with_capacity(100);
        let last = play_sound(
            8_000,
            ppm,
            lan,
            LENGTH,
            Bounds::default(),
            |_| 0,
            |seconds, figures, _| {
                second.push(figures.delay_ms - figures.delay_target_ms);
                if second.len() == 100 {
                    second.sort_by(f64::total_cmp);
                    worst = worst.max(second[50].abs());
                    if seconds > 60.0 {
                        later = later.max(second[50].abs());
                    }
                    second.clear();
                }
            },
        );
        table.row(
            &format!("{ppm:+} ppm"),
            [
                format!("{:+.1}", last.drift_ppm),
                ms(worst),
                ms(later),
                last.underruns.to_string(),
                last.late_packets.to_string(),
                last.resets.to_string(),
                format!("{:.0}", began.elapsed().as_secs_f64()),
            ],
        );
    }
    table.print("off: how far the delay is from its target, the worst of the medians of 1 s.");
}

/// Ten minutes of a kilohertz through the whole player: how clean the worst 100 ms are.
pub fn tone() {
    const LENGTH: Duration = Duration::from_secs(600);
    let mut table = Table::new(
        "Drift: ten minutes of 1 kHz, a sine fitted freely to each 100 ms",
        &["", "worst dB", "underruns", "stretched"],
    );
    let link = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
    // The headroom that a clock found to be slow eats up meanwhile.
    let bounds = Bounds { least: Duration::from_millis(30), ..Bounds::default() };
    let sine = |position: u64| {
        // By whole periods (441 frames are ten), so that it is exact however large the position.
        let phase = (position % 441) as f64 / 44.1 * std::f64::consts::TAU;
        (32_000.0 * phase.sin()).round() as i16
    };
    for ppm in [300, -300] {
        let mut heard = Vec::new();
        let last = play_sound(RATE, ppm, link, LENGTH, bounds, sine, |_, _, out| heard.extend(out));
        let start = heard.iter().position(|s| *s != 0.0).unwrap_or(0);
        table.row(
            &format!("{ppm:+} ppm"),
            [
                format!("{:.1}", fit::worst_window(&heard[start..])),
                last.underruns.to_string(),
                (last.frames_accelerated + last.frames_expanded).to_string(),
            ],
        );
    }
    table.print("min_delay is 30 ms: a sender 300 ppm slow takes 5 ms before the resampler has caught up.");
}

/// Plays `sound` for `length`, the sender `ppm` fast against the card, and hands each block to `see`.
fn play_sound(
    rate: u32,
    ppm: i32,
    link: LinkConfig,
    length: Duration,
    bounds: Bounds,
    sound: impl Fn(u64) -> i16,
    mut see: impl FnMut(f64, &Playback, &[f32]),
) -> Playback {
    let format = Format::new(rate, 1).expect("a plain format");
    let block = (rate / 100) as usize;
    let (mut writer, reader) = packet_queue(64, 1 << 16, 1);
    let player = Player::live(reader, format, bounds.most, Arc::default());
    let counters = player.counters();
    let (mut renderer, mut roster, controls) =
        Renderer::new(format, 1, block, Duration::from_secs(1)).expect("a plain format");
    controls.set_bounds(bounds);
    renderer.set_tier(Tier::Pitch);
    assert!(roster.add(player), "there is room for one");
    let mut arrivals =
        Scenario::new(rate, rate / 100, length).link(link).sender_ppm(ppm / 2).run().peekable();
    let mut packet = vec![0i16; block];
    let mut out = vec![0.0f32; block];
    let end = START + length - Duration::from_millis(100);
    for pull in SoundCard::new(START + Duration::from_micros(3_300), rate, block, ppm / 2 - ppm) {
        if pull.at >= end {
            break;
        }
        while let Some(a) = arrivals.next_if(|a| a.at <= pull.at) {
            for (n, sample) in packet.iter_mut().enumerate() {
                *sample = sound(a.position.0 + n as u64);
            }
            let head = Head {
                epoch: a.epoch,
                sequence: a.sequence,
                position: a.position,
                arrival: a.at,
                frames: a.frames,
                ..Head::default()
            };
            assert!(writer.push(head, &packet), "the queue holds more than the player is behind");
        }
        renderer.render(pull.at, &mut out, Starved::Advance);
        see(pull.at.since(START).as_secs_f64(), &counters.snapshot(), &out);
    }
    counters.snapshot()
}

/// `NetEq`'s own endurance trial: every tenth packet lost, a sender 10 % slow for 5,000 s, then 10 % fast for as long.
pub fn ten_percent() {
    const HALF: Duration = Duration::from_secs(5_000);
    let case = Case { bounds: Bounds::default(), ..case(&LinkConfig::default(), 0, HALF * 2) };
    let case = Case { tier: Tier::Pitch, ..case };
    let arrivals = (0u64..)
        .scan(START, |sent, n| {
            let us = if sent.since(START) < HALF { 11_000 } else { 9_000 };
            *sent = *sent + Duration::from_micros(us);
            let position = Position((1 << 32) + n * 441);
            Some(Arrival { at: *sent, sent: *sent, sequence: n, position, frames: 441, epoch: 0 })
        })
        .filter(|a| a.sequence % 10 != 0);
    let mut table = Table::new(
        "NetEq's endurance trial: 10,000 s, every tenth packet lost, the sender 10 % slow, then 10 % fast",
        &["", "resets", "delay, mean ms", "highest ms", "late", "concealed %", "shorter %", "longer %"],
    );
    let mut halves = [(0.0, 0.0f64, 0u32, Playback::default()), (0.0, 0.0, 0, Playback::default())];
    play(&case, arrivals, |m| {
        let half = &mut halves[usize::from(m.seconds >= HALF.as_secs_f64())];
        half.0 += m.figures.delay_ms;
        half.1 = half.1.max(m.figures.delay_ms);
        half.2 += 1;
        half.3 = m.figures;
    });
    let mut before = Playback::default();
    for (name, (sum, highest, count, figures)) in ["10 % slow", "10 % fast"].into_iter().zip(halves) {
        let frames = f64::from(count) * 441.0;
        let part = |now: u64, then: u64| format!("{:.2}", 100.0 * (now - then) as f64 / frames);
        table.row(
            name,
            [
                (figures.resets - before.resets).to_string(),
                ms(sum / f64::from(count)),
                ms(highest),
                (figures.late_packets - before.late_packets).to_string(),
                part(figures.frames_concealed, before.frames_concealed),
                part(figures.frames_accelerated, before.frames_accelerated),
                part(figures.frames_expanded, before.frames_expanded),
            ],
        );
        before = figures;
    }
    table.print(
        "after webrtc's neteq_performance_test; pitch repetition conceals, to save the reader's time.",
    );
}

fn case(link: &LinkConfig, card_ppm: i32, length: Duration) -> Case {
    Case { packet: 441, card_ppm, bounds: Bounds::default(), tier: Tier::Ar64, length, path: link.delay }
}
