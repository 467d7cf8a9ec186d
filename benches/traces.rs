//! A million seeded traces: two seconds of trouble (losses, jitter, stalls, overtaking, doubles, pauses, restarts), eight of
//! calm; then the delay must be where it is aimed at, and the sound whole. The engine's own player, in a light form: 8 kHz, packets
//! and blocks of 20 ms, the cheapest concealment. Prints a table; ends with an error where a trace left delay behind.
//!
//! `cargo bench --bench traces -- --count 1000 --first 0` plays fewer.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use _engine::engine::format::Format;
use _engine::engine::playout::conceal::Tier;
use _engine::engine::playout::player::Player;
use _engine::engine::playout::render::{Render, Renderer, Starved};
use _engine::engine::sim::clock::SoundCard;
use _engine::engine::sim::scenario::START;
use _engine::engine::sim::trace::{CALM, TROUBLE, trouble};
use _engine::engine::stats::Playback;
use _engine::engine::stream::queue::{Head, packet_queue};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if !args.iter().any(|a| a == "--bench") {
        // `cargo test --benches` runs every harness: nothing to do there.
        return;
    }
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|at| args.get(at + 1)).and_then(|n| n.parse().ok()).unwrap_or(default)
    };
    let (first, count) = (number("--first", 0), number("--count", 1_000_000));
    #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts: Vec<_> = (0..threads)
        .map(|t| {
            let seeds = (first + t..first + count).step_by(threads as usize);
            let work = move || {
                let mut sum = Sum::default();
                let sound = voice();
                seeds.for_each(|seed| sum.add(seed, &play(seed, &sound)));
                sum
            };
            thread::Builder::new().name(format!("traces {t}")).spawn(work).expect("a thread")
        })
        .collect();
    let mut sum = Sum::default();
    for part in parts {
        sum.join(part.join().expect("no trace panics"));
    }
    sum.print(count, began.elapsed());
    assert!(sum.left.is_empty(), "these seeds left delay behind, or no sound: {:?}", sum.left);
}

/// What a trace ended with.
struct End {
    figures: Playback,
    /// Frames of the last second that were not heard as they were sent.
    amiss: u64,
}

fn play(seed: u64, sound: &[i16]) -> End {
    let format = Format::new(RATE, 1).expect("a format of ours");
    let (mut renderer, mut roster, _controls) =
        Renderer::new(format, 1, BLOCK, Duration::from_secs(1)).expect("a plain format");
    renderer.set_tier(Tier::Pitch);
    let (mut writer, reader) = packet_queue(512, 512 * BLOCK, 1);
    let player = Player::live(reader, format, Duration::from_millis(500), Arc::default());
    let counters = player.counters();
    assert!(roster.add(player), "there is room for one");
    let mut arrivals = trouble(seed, RATE, BLOCK as u32).run().peekable();
    // A receiver hands on the first copy only.
    let mut seen = std::collections::HashSet::with_capacity(1024);
    let mut out = [0.0f32; BLOCK];
    let length = TROUBLE + CALM;
    let mut before = Playback::default();
    for pull in SoundCard::new(START + Duration::from_micros(1 + seed % 20 * 1_000), RATE, BLOCK, 0) {
        let since = pull.at.since(START);
        if since >= length {
            break;
        }
        while let Some(a) = arrivals.next_if(|a| a.at <= pull.at) {
            if seen.insert((a.epoch, a.sequence)) {
                let head = Head {
                    source: 0,
                    epoch: a.epoch,
                    sequence: a.sequence,
                    position: a.position,
                    arrival: a.at,
                    frames: a.frames,
                };
                let from = (a.position.0 % (sound.len() - BLOCK) as u64) as usize;
                assert!(writer.push(head, &sound[from..from + BLOCK]), "the queue holds what is played");
            }
        }
        renderer.render(pull.at, &mut out, Starved::Advance);
        if since < length - Duration::from_secs(1) {
            before = counters.snapshot();
        }
    }
    let figures = counters.snapshot();
    let changed = |f: &Playback| f.frames_concealed + f.resets + f.late_packets + f.underruns;
    let silent = u64::from(figures.frames_played - before.frames_played < u64::from(RATE) * 9 / 10);
    End { amiss: changed(&figures) - changed(&before) + silent * u64::from(RATE), figures }
}

#[derive(Default)]
struct Sum {
    /// Traces whose delay ended so many milliseconds above the one aimed at.
    off: [u64; 8],
    worst: (f64, u64),
    longest: (f64, u64),
    excess: f64,
    delay: f64,
    concealed: u64,
    resets: u64,
    late: u64,
    left: Vec<u64>,
}

impl Sum {
    fn add(&mut self, seed: u64, end: &End) {
        let f = &end.figures;
        let off = f.delay_ms - f.delay_target_ms;
        self.off[LIMITS.iter().position(|limit| off < *limit).unwrap_or(LIMITS.len())] += 1;
        if off > self.worst.0 {
            self.worst = (off, seed);
        }
        if f.delay_ms > self.longest.0 {
            self.longest = (f.delay_ms, seed);
        }
        self.excess += off;
        self.delay += f.delay_ms;
        self.concealed += f.frames_concealed;
        self.resets += f.resets;
        self.late += f.late_packets;
        if (off > MOST_OFF || end.amiss > 0) && self.left.len() < 20 {
            self.left.push(seed);
        }
    }

    fn join(&mut self, other: Self) {
        self.off.iter_mut().zip(other.off).for_each(|(a, b)| *a += b);
        self.worst = if other.worst.0 > self.worst.0 { other.worst } else { self.worst };
        self.longest = if other.longest.0 > self.longest.0 { other.longest } else { self.longest };
        self.excess += other.excess;
        self.delay += other.delay;
        self.concealed += other.concealed;
        self.resets += other.resets;
        self.late += other.late;
        self.left.extend(other.left);
    }

    fn print(&self, count: u64, took: Duration) {
        let mean = |sum: f64| sum / count as f64;
        println!(
            "\n{count} traces of {:?} trouble and {CALM:?} calm, in {:.0} s",
            TROUBLE,
            took.as_secs_f64()
        );
        println!(
            "  delay at the end: {:.1} ms on average, {:.1} at most (seed {})",
            mean(self.delay),
            self.longest.0,
            self.longest.1
        );
        println!(
            "  above the one aimed at: {:.2} ms on average, {:.1} at most (seed {})",
            mean(self.excess),
            self.worst.0,
            self.worst.1
        );
        for (n, limit) in LIMITS.iter().enumerate() {
            println!("    below {limit:>3.0} ms: {:>9}", self.off[n]);
        }
        println!("    more:         {:>9}", self.off[LIMITS.len()]);
        println!(
            "  concealed: {:.0} ms a trace; began anew {:.2} times; late packets {:.2}",
            mean(self.concealed as f64 * 1e3 / f64::from(RATE)),
            mean(self.resets as f64),
            mean(self.late as f64)
        );
    }
}

/// A hum with pauses.
fn voice() -> Vec<i16> {
    let sample = |n: u32| {
        let time = f64::from(n) / f64::from(RATE);
        let loud = if time % 0.6 < 0.5 { 8_000.0 } else { 30.0 };
        let phase = std::f64::consts::TAU * (120.0 * time + 3.0 * (2.0 * time).sin());
        (loud * (phase.sin() + 0.4 * (2.0 * phase).sin() + 0.3 * (5.0 * phase).sin())) as i16
    };
    (0..6 * RATE).map(sample).collect()
}

const RATE: u32 = 8_000;
/// 20 ms.
const BLOCK: usize = 160;
/// Where the table's rows end, ms.
const LIMITS: [f64; 7] = [1.0, 3.0, 5.0, 10.0, 15.0, 20.0, 40.0];
/// Sound is stretched at once, wherever it is heard, when it is later than this, ms.
const MOST_OFF: f64 = 20.0;
