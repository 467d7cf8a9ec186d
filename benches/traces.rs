//! A million seeded traces: two seconds of trouble (losses, jitter, stalls, overtaking, doubles, pauses, restarts), then calm,
//! until the delay is what it is on a calm path and the sound whole. The engine's own player, in a light form: 8 kHz,
//! packets and blocks of 20 ms, the cheapest concealment. Prints a table; ends with an error where a trace left delay behind.
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
    let (first, count): (u64, u64) = (number("--first", 0), number("--count", 1_000_000));
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

/// What a trace came to.
struct End {
    figures: Playback,
    /// How long after the trouble's end the delay was back and the sound whole, for a second; none where it never was.
    back: Option<Duration>,
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
    let mut heard_of = std::collections::HashSet::with_capacity(1024);
    let mut out = [0.0f32; BLOCK];
    let mut calm: Option<(Duration, Playback)> = None;
    let mut back = None;
    for pull in SoundCard::new(START + Duration::from_micros(1 + seed % 20 * 1_000), RATE, BLOCK, 0) {
        let since = pull.at.since(START);
        if since >= TROUBLE + CALM {
            break;
        }
        while let Some(a) = arrivals.next_if(|a| a.at <= pull.at) {
            if heard_of.insert((a.epoch, a.sequence)) {
                let head = Head {
                    epoch: a.epoch,
                    sequence: a.sequence,
                    position: a.position,
                    arrival: a.at,
                    frames: a.frames,
                    ..Head::default()
                };
                let from = (a.position.0 % (sound.len() - BLOCK) as u64) as usize;
                assert!(writer.push(head, &sound[from..from + BLOCK]), "the queue holds what is played");
            }
        }
        renderer.render(pull.at, &mut out, Starved::Advance);
        let figures = counters.snapshot();
        let (from, before) = calm.get_or_insert((since, figures));
        let amiss = |f: &Playback| f.frames_concealed + f.resets + f.late_packets + f.underruns;
        if since < TROUBLE || figures.delay_ms > BACK || amiss(&figures) > amiss(before) {
            calm = None;
        } else if since > *from + SECOND && figures.frames_played - before.frames_played > SOUND {
            back = Some(from.saturating_sub(TROUBLE));
            break;
        }
    }
    End { figures: counters.snapshot(), back }
}

#[derive(Default)]
struct Sum {
    /// Traces by how long they took.
    took: [u64; LIMITS.len()],
    longest: (Duration, u64),
    total: Duration,
    concealed: u64,
    resets: u64,
    late: u64,
    /// Seeds after which it was never as before.
    left: Vec<u64>,
}

impl Sum {
    fn add(&mut self, seed: u64, end: &End) {
        match end.back {
            Some(took) => {
                let row = LIMITS.iter().position(|limit| took <= *limit);
                self.took[row.unwrap_or(LIMITS.len() - 1)] += 1;
                self.longest = self.longest.max((took, seed));
                self.total += took;
            }
            None => self.left.push(seed),
        }
        self.concealed += end.figures.frames_concealed;
        self.resets += end.figures.resets;
        self.late += end.figures.late_packets;
    }

    fn join(&mut self, other: Self) {
        self.took.iter_mut().zip(other.took).for_each(|(a, b)| *a += b);
        self.longest = self.longest.max(other.longest);
        self.total += other.total;
        self.concealed += other.concealed;
        self.resets += other.resets;
        self.late += other.late;
        self.left.extend(other.left);
    }

    fn print(&self, count: u64, took: Duration) {
        let mean = |sum: f64| sum / count.max(1) as f64;
        println!(
            "\n{count} traces: {TROUBLE:?} of trouble, then calm; measured in {:.0} s",
            took.as_secs_f64()
        );
        println!("  delay at most {BACK} ms and the sound whole for a second, after the trouble's end:");
        for (limit, count) in LIMITS.iter().zip(self.took) {
            println!("    within {:>3} s: {count:>9}", limit.as_secs());
        }
        println!("    never:        {:>9}", self.left.len());
        println!(
            "  after {:.1} s on average, {:.1} s at most (seed {})",
            mean(self.total.as_secs_f64()),
            self.longest.0.as_secs_f64(),
            self.longest.1
        );
        println!(
            "  a trace: {:.0} ms concealed, {:.2} times begun anew, {:.2} late packets",
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
/// A packet, a block, a packet of look-ahead, and a little, ms.
const BACK: f64 = 70.0;
const SECOND: Duration = Duration::from_secs(1);
/// Frames of a second that are heard as they came, at least.
const SOUND: u64 = RATE as u64 * 9 / 10;
/// Where the table's rows end.
const LIMITS: [Duration; 8] = {
    let s = Duration::from_secs;
    [s(1), s(3), s(5), s(10), s(20), s(40), s(60), CALM]
};
