//! One sender, one path, one card and the engine's own player, in virtual time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use _engine::engine::format::{Format, to_i16};
use _engine::engine::playout::conceal::Tier;
use _engine::engine::playout::live::Bounds;
use _engine::engine::playout::player::Player;
use _engine::engine::playout::render::{Render, Renderer, Starved};
use _engine::engine::sim::clock::SoundCard;
use _engine::engine::sim::scenario::{Arrival, START};
use _engine::engine::stats::Playback;
use _engine::engine::stream::queue::{Head, Position, packet_queue};
use _engine::engine::time::Micros;

/// What plays, besides what arrives.
#[derive(Clone, Copy)]
pub struct Case {
    /// Frames in a packet, and in a block that the card pulls.
    pub packet: u32,
    pub card_ppm: i32,
    pub bounds: Bounds,
    pub tier: Tier,
    /// How long the card pulls.
    pub length: Duration,
    /// What the fastest packet needs; delays are given beyond it.
    pub path: Duration,
}

/// After each pull.
pub struct Moment {
    pub seconds: f64,
    /// The delay of the block's last frame, read from the sound itself: what comes out is looked for in what was sent.
    /// None where it was not sent like that: concealed, stretched, resampled.
    pub heard_ms: Option<f64>,
    /// What the player says of itself.
    pub figures: Playback,
    /// Packets handed to the player so far.
    pub received: u64,
    /// Packets from the first to the highest that was received.
    pub expected: u64,
}

/// The rate of all that is sent here.
pub const RATE: u32 = 44_100;

/// Plays `arrivals` (a doubled packet once, as a receiver hands them on), and calls `see` after each pull.
pub fn play(case: &Case, arrivals: impl Iterator<Item = Arrival>, mut see: impl FnMut(&Moment)) {
    let voice = Voice::get();
    let block = case.packet as usize;
    let (mut writer, reader) = packet_queue(4096, 1 << 20, 1);
    let player = Player::live(reader, Format::DEFAULT, case.bounds.most, Arc::default());
    let counters = player.counters();
    let (mut renderer, mut roster, controls) =
        Renderer::new(Format::DEFAULT, 1, block, Duration::from_secs(1)).expect("a plain format");
    controls.set_bounds(case.bounds);
    renderer.set_tier(case.tier);
    assert!(roster.add(player), "there is room for one");
    let mut arrivals = arrivals.peekable();
    let mut seen = HashSet::new();
    let mut clock: Option<Arrival> = None;
    let mut place = None;
    let mut sequences: Option<(u64, u64)> = None;
    let mut packet = vec![0i16; block];
    let mut out = vec![0.0f32; block];
    for pull in SoundCard::new(START + PHASE, RATE, block, case.card_ppm) {
        if pull.at >= START + case.length {
            break;
        }
        while let Some(a) = arrivals.next_if(|a| a.at <= pull.at) {
            if !seen.insert((a.epoch, a.sequence)) {
                continue;
            }
            clock = Some(a);
            let (first, highest) = sequences.unwrap_or((a.sequence, a.sequence));
            sequences = Some((first, highest.max(a.sequence)));
            voice.write(a.position, &mut packet);
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
        let over = pull.at + Format::DEFAULT.duration(block as u64);
        let heard_ms = clock.and_then(|a| {
            let about = place.unwrap_or(a.position.0) + block as u64;
            let found = voice.find(&out, about);
            place = Some(found.unwrap_or(about));
            Some(delay_ms(&a, Position(found?), over, case.path))
        });
        let expected = sequences.map_or(0, |(first, highest)| highest - first + 1);
        let seconds = pull.at.since(START).as_secs_f64();
        see(&Moment {
            seconds,
            heard_ms,
            figures: counters.snapshot(),
            received: seen.len() as u64,
            expected,
        });
    }
}

/// How long after the fastest packet's arrival the frame before `place` is over, if that is at `now`: `some` packet says
/// what the sender's clock showed when.
pub fn delay_ms(some: &Arrival, place: Position, now: Micros, path: Duration) -> f64 {
    let behind = place.distance(some.position) as f64 / f64::from(RATE);
    (now.signed_since(some.sent + path) as f64 / 1e6 - behind) * 1e3
}

/// Ten seconds of something like speech, over and over: syllables with a gliding pitch and four formants of a kind, pauses
/// with a little noise. No eight samples of it occur twice.
pub struct Voice {
    sound: Vec<i16>,
    places: HashMap<[i16; 8], u64>,
}

impl Voice {
    pub fn get() -> &'static Self {
        static VOICE: OnceLock<Voice> = OnceLock::new();
        VOICE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut noise = 1u32;
        let mut phase = 0.0f64;
        let sound: Vec<i16> = (0..10 * RATE)
            .map(|n| {
                let time = f64::from(n) / f64::from(RATE);
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = f64::from((noise >> 16) as i16) / 32_768.0;
                // Speech comes four syllables a second, in phrases of two seconds and a half.
                let speaking = if time % 2.5 < 1.9 { 1.0 } else { 0.0 };
                let syllable = (std::f64::consts::PI * 4.0 * time).sin().powi(2) * speaking;
                phase += (110.0 + 25.0 * (2.1 * time).sin()) / f64::from(RATE);
                let buzz: f64 = (1..=24)
                    .map(|k| {
                        let k = f64::from(k);
                        let near = |formant: f64| (-(k * 110.0 - formant).powi(2) / 40_000.0).exp();
                        let level = 0.05 + near(500.0) + 0.6 * near(1_400.0) + 0.3 * near(2_400.0);
                        level * (std::f64::consts::TAU * k * phase).sin()
                    })
                    .sum();
                (4_000.0 * syllable * buzz + 40.0 * hiss) as i16
            })
            .collect();
        let places = sound.windows(8).enumerate().map(|(n, w)| (key(w), n as u64)).collect();
        Self { sound, places }
    }

    pub fn write(&self, from: Position, out: &mut [i16]) {
        for (n, sample) in out.iter_mut().enumerate() {
            *sample = self.sound[((from.0 + n as u64) % self.sound.len() as u64) as usize];
        }
    }

    /// The place after the last frame of `out`, the nearest to `about`.
    fn find(&self, out: &[f32], about: u64) -> Option<u64> {
        let last: Vec<i16> = out[out.len() - 8..].iter().map(|x| to_i16(*x)).collect();
        let found = self.places.get(&key(&last))? + 8;
        let round = self.sound.len() as u64;
        let turns = (about + round / 2).saturating_sub(found) / round;
        Some(found + turns * round)
    }
}

fn key(samples: &[i16]) -> [i16; 8] {
    samples.try_into().expect("eight samples")
}

/// The card begins between two packets.
const PHASE: Duration = Duration::from_micros(3_300);
