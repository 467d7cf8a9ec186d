//! The render object: owns all players and mixes them. Whoever calls it (a device's callback, the thread that paces a
//! file) clocks the sound.
//!
//! Guaranteed: one source alone at gain 1 passes bit-exactly; players are built and dropped elsewhere, they come and go
//! through rings; nothing here allocates, locks or logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::conceal::{Concealer, Tier, Watch};
use super::inlet::STRIDE;
use super::listeners::{Listener, Listeners};
use super::live::{Bounds, Pull};
use super::mixer::Mixer;
use super::peak::peak;
use super::player::Player;
use super::pulse::{Beat, Pulse};
use super::tap::{Pour, Tap};
use super::taps::{MOST_TAPS, Taps};
use crate::engine::error::Result;
use crate::engine::exact::{log10, pow};
use crate::engine::format::Format;
use crate::engine::time::Micros;

/// Whoever fills a sound device's or a file's blocks.
pub trait Render: Send + 'static {
    /// Fills `out` (interleaved, the stream's format) with what is heard at `now`. Returns one past the last frame
    /// that holds sound; what lies beyond is silence.
    fn render(&mut self, now: Micros, out: &mut [f32], starved: Starved) -> usize;
}

/// What to do where there is no sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starved {
    /// Time goes on: silence. For an ear.
    Advance,
    /// The sound's clock stands still until there is some. For a file.
    Wait,
    /// As `Wait`, but nothing more will come: gaps are given up at once.
    Drain,
}

/// Mixes all sources of a session.
pub struct Renderer {
    format: Format,
    players: Vec<Player>,
    listeners: Listeners,
    taps: Taps,
    added: Consumer<Guest>,
    finished: Producer<Guest>,
    patience: Duration,
    pulse: Pulse,
    tier: Tier,
    /// What conceals mono and stereo; it remembers nothing between two gaps, so one serves all.
    concealers: [Concealer; 2],
    /// Holes modelled in this block.
    modelled: u32,
    sound: Box<[f32]>,
    turned: Box<[f32]>,
    mixer: Mixer,
    controls: Arc<Controls>,
}

/// The other end: hands players, listeners and taps in, takes finished ones back.
pub struct Roster {
    add: Producer<Guest>,
    finished: Consumer<Guest>,
    controls: Arc<Controls>,
    /// Players handed in that have not come back, and how many there may be.
    players: usize,
    most: usize,
}

/// Who comes and goes.
#[allow(clippy::large_enum_variant, reason = "a box would be freed where nothing may be")]
enum Guest {
    Player(Player),
    Listener(Listener),
    Tap(Tap),
}

/// What may be turned while it plays.
#[derive(Debug)]
pub struct Controls {
    gain: AtomicU32,
    muted: AtomicBool,
    peak: AtomicU32,
    tier: AtomicU32,
    most_players: AtomicU32,
    least_us: AtomicU64,
    most_us: AtomicU64,
    /// [`NOT_FIXED`] where the delay follows the network.
    fixed_us: AtomicU64,
}

impl Renderer {
    /// A renderer in `format` for at most `sources` sources, pulled by about `block` frames; `patience` is how long a
    /// file waits for a missing packet.
    pub fn new(
        format: Format,
        sources: usize,
        block: usize,
        patience: Duration,
    ) -> Result<(Self, Roster, Arc<Controls>)> {
        // Each source may listen, too; and there may be a microphone of our own.
        let guests = 2 * sources + 1 + MOST_TAPS;
        let (add, added) = RingBuffer::new(guests);
        let (finished_in, finished_out) = RingBuffer::new(guests);
        let controls = Arc::new(Controls::default());
        let renderer = Self {
            format,
            players: Vec::with_capacity(sources + 1),
            listeners: Listeners::new(format, sources),
            taps: Taps::new(),
            added,
            finished: finished_in,
            patience,
            pulse: Pulse::new(format, block),
            tier: Tier::default(),
            concealers: [
                Concealer::new(Format::new(format.rate(), 1)?),
                Concealer::new(Format::new(format.rate(), 2)?),
            ],
            modelled: 0,
            sound: vec![0.0; STRIDE * 2].into(),
            turned: vec![0.0; STRIDE * 2].into(),
            mixer: Mixer::new(format.rate(), format.channels(), STRIDE),
            controls: Arc::clone(&controls),
        };
        let own = Arc::clone(&controls);
        let roster = Roster { add, finished: finished_out, controls: own, players: 0, most: 2 * sources + 1 };
        Ok((renderer, roster, controls))
    }

    /// How dear concealment may be from now on: for whoever measures the time that it takes.
    pub fn set_tier(&mut self, tier: Tier) {
        self.tier = tier;
        self.controls.tier.store(tier as u32, Relaxed);
    }

    /// How dear concealment may be.
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// From now on it is known how long concealment takes, by `watch`.
    pub fn set_watch(&mut self, watch: &Watch) {
        self.concealers.iter_mut().for_each(|concealer| concealer.set_watch(Arc::clone(watch)));
    }

    /// How long concealment took since this was asked last.
    pub fn take_concealing(&mut self) -> Duration {
        self.concealers.iter_mut().map(Concealer::take_time).sum()
    }

    /// How many sources it holds, those included that have just fallen silent.
    pub fn players(&self) -> usize {
        self.players.len()
    }

    /// From now on plays so many at most: the newest are given up, the others go on as they were.
    pub fn keep_players(&mut self, most: u32) {
        self.controls.most_players.store(most, Relaxed);
    }

    /// Is called from now on after each call that gave sound to listeners, on the thread that renders: must neither block nor
    /// allocate.
    pub fn set_bell(&mut self, bell: Box<dyn Fn() + Send>) {
        self.listeners.set_bell(bell);
    }

    fn admit_and_dismiss(&mut self) {
        while !self.finished.is_full()
            && let Some(listener) = self.listeners.dismissed()
        {
            let _ = self.finished.push(Guest::Listener(listener));
        }
        while !self.finished.is_full()
            && let Some(tap) = self.taps.dismissed()
        {
            let _ = self.finished.push(Guest::Tap(tap));
        }
        while !self.finished.is_full()
            && (self.players.len() < self.players.capacity()
                || !matches!(self.added.peek(), Ok(Guest::Player(_))))
            && let Ok(guest) = self.added.pop()
        {
            match guest {
                Guest::Player(player) => self.players.push(player),
                Guest::Listener(listener) => {
                    if let Err(listener) = self.listeners.admit(listener) {
                        let _ = self.finished.push(Guest::Listener(listener));
                    }
                }
                Guest::Tap(tap) => {
                    if let Some(tap) = self.taps.admit(tap) {
                        let _ = self.finished.push(Guest::Tap(tap));
                    }
                }
            }
        }
    }

    /// Gives up the newest of too many.
    fn give_up(&mut self) {
        while self.players.len() > self.controls.most_players()
            && !self.finished.is_full()
            && !self.players.is_empty()
        {
            self.dismiss(self.players.len() - 1);
        }
    }

    /// Hands a player back, for which there is room.
    fn dismiss(&mut self, place: usize) {
        // They stay in order of their coming: the newest is given up first.
        let player = self.players.remove(place);
        self.taps.leave(player.number());
        player.note_peak(0.0, 0.0);
        let _ = self.finished.push(Guest::Player(player));
    }

    fn mix(&mut self, beat: Beat, left: usize, out: &mut [f32], starved: Starved) -> usize {
        let channels = self.format.channels();
        let frames = out.len() / channels;
        let mut sound_frames = 0;
        let bounds = self.controls.bounds();
        let decay = self.decay(frames);
        self.mixer.begin(frames);
        self.listeners.begin(frames);
        let mut next = 0;
        while next < self.players.len() {
            let place = next;
            for (by, first) in [(2, true), (1, false)] {
                if let Some(player) = self.players.get(place + by) {
                    player.fetch(first);
                }
            }
            // Here, where it is at hand.
            if self.players[place].is_finished() && !self.finished.is_full() {
                self.dismiss(place);
                continue;
            }
            next += 1;
            let player = &mut self.players[place];
            player.keep_ledger(!player.is_apart() && self.taps.want(player.number()));
            let from = player.format().channels();
            let sound = &mut self.sound[..frames * from];
            let got = match starved {
                Starved::Advance => {
                    let concealer = &mut self.concealers[from - 1];
                    let Beat { now, block, step } = beat;
                    // Where many are concealed at once, the rest are by the cheapest.
                    let tier = if self.modelled < MOST_MODELLED { self.tier } else { Tier::Pitch };
                    let mut pull = Pull { now, block, step, left, bounds, tier, concealer };
                    let got = player.play_live(&mut pull, sound);
                    self.modelled += pull.concealer.take_modelled();
                    got
                }
                Starved::Wait => player.play_whole(beat.now, self.patience, false, sound),
                Starved::Drain => player.play_whole(beat.now, self.patience, true, sound),
            };
            let mut peak = 0.0;
            if got > 0 {
                let sound = &sound[..got * from];
                if player.is_apart() {
                    let sound = turn(sound, from, channels, &mut self.turned);
                    self.listeners.add_apart(sound, player.gain());
                    continue;
                }
                let (number, stretches) = (player.number(), player.given());
                self.taps.take(Pour { number, place, channels: from, stretches }, beat.now, sound);
                let sound = turn(sound, from, channels, &mut self.turned);
                sound_frames = sound_frames.max(got);
                self.listeners.leave_out(player.number(), sound, *player.gain());
                peak = self.mixer.add(sound, player.gain());
            } else if starved == Starved::Advance && !player.is_apart() {
                self.taps.pause(player.number(), place);
            }
            player.note_peak(peak, decay);
        }
        if starved != Starved::Advance {
            self.players.iter_mut().for_each(|player| player.given_out(sound_frames));
        }
        self.listeners.give(&self.mixer);
        out.copy_from_slice(self.mixer.finish());
        let given = if starved == Starved::Advance { frames } else { sound_frames };
        self.taps.mix(channels, beat.now, &out[..given * channels]);
        sound_frames
    }

    /// What a level meter falls to while so many frames pass.
    fn decay(&self, frames: usize) -> f32 {
        pow(f64::from(PEAK_DECAY), 100.0 * frames as f64 / f64::from(self.format.rate())) as f32
    }
}

impl Render for Renderer {
    fn render(&mut self, now: Micros, out: &mut [f32], starved: Starved) -> usize {
        self.admit_and_dismiss();
        self.modelled = 0;
        let channels = self.format.channels();
        let frames = out.len() / channels;
        let beat = match starved {
            Starved::Advance => self.pulse.pull(now, frames),
            Starved::Wait | Starved::Drain => Beat { now, block: 0, step: 0 },
        };
        let mut last = 0;
        let mut done = 0;
        for piece in out.chunks_mut(STRIDE * channels) {
            let now = beat.now + self.format.duration(done as u64);
            let sound = self.mix(Beat { now, ..beat }, frames - done, piece, starved);
            if sound > 0 {
                last = done + sound;
            }
            done += piece.len() / channels;
            if starved != Starved::Advance && sound < piece.len() / channels {
                break;
            }
        }
        self.give_up();
        self.listeners.ring();
        self.controls.apply(&mut out[..last * channels]);
        last
    }
}

impl Roster {
    /// Hands a player in; false where there is no room.
    pub fn add(&mut self, player: Player) -> bool {
        let added = self.add.push(Guest::Player(player)).is_ok();
        self.players += usize::from(added);
        added
    }

    /// How many players can be played.
    pub fn most_players(&self) -> usize {
        self.controls.most_players()
    }

    /// Whether one more player can be handed in: as many as play, and as many again that wait for those that fall silent.
    pub fn has_room(&self) -> bool {
        self.players < self.most && !self.add.is_full()
    }

    /// Hands a listener in, which goes when its ear is dropped; false where there is no room.
    pub fn listen(&mut self, listener: Listener) -> bool {
        self.add.push(Guest::Listener(listener)).is_ok()
    }

    /// Hands a tap in, which goes when its other end is closed; false where there is no room.
    pub fn tap(&mut self, tap: Tap) -> bool {
        self.add.push(Guest::Tap(tap)).is_ok()
    }

    /// Drops the players, listeners and taps that have finished.
    pub fn sweep(&mut self) {
        while let Ok(guest) = self.finished.pop() {
            self.players -= usize::from(matches!(guest, Guest::Player(_)));
        }
    }
}

impl Controls {
    /// Sets the gain of everything, 1 being as it is.
    pub fn set_gain(&self, gain: f32) {
        self.gain.store(gain.to_bits(), Relaxed);
    }

    /// Silences everything, or no longer.
    pub fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Relaxed);
    }

    /// Sets what the delay may be, from the next block on.
    pub fn set_bounds(&self, bounds: Bounds) {
        let us = |time: Duration| time.as_micros() as u64;
        self.least_us.store(us(bounds.least), Relaxed);
        self.most_us.store(us(bounds.most), Relaxed);
        self.fixed_us.store(bounds.fixed.map_or(NOT_FIXED, us), Relaxed);
    }

    /// What the delay may be.
    pub fn bounds(&self) -> Bounds {
        let fixed = self.fixed_us.load(Relaxed);
        Bounds {
            least: Duration::from_micros(self.least_us.load(Relaxed)),
            most: Duration::from_micros(self.most_us.load(Relaxed)),
            fixed: (fixed != NOT_FIXED).then_some(Duration::from_micros(fixed)),
        }
    }

    /// How dear concealment is now, the dearest being 0.
    pub fn tier(&self) -> u32 {
        self.tier.load(Relaxed)
    }

    /// How many players can be played, as far as is known.
    pub fn most_players(&self) -> usize {
        self.most_players.load(Relaxed) as usize
    }

    /// The loudest sample lately, dBFS; negative infinity for silence.
    pub fn level_db(&self) -> f64 {
        20.0 * log10(f64::from(f32::from_bits(self.peak.load(Relaxed))))
    }

    /// Gain, mute and level meter, in this order.
    fn apply(&self, out: &mut [f32]) {
        let gain = if self.muted.load(Relaxed) { 0.0 } else { f32::from_bits(self.gain.load(Relaxed)) };
        if gain.to_bits() != 1.0f32.to_bits() {
            for sample in out.iter_mut() {
                *sample = (*sample * gain).clamp(-1.0, 1.0);
            }
        }
        let held = f32::from_bits(self.peak.load(Relaxed)) * PEAK_DECAY;
        let peak = peak(out).max(held);
        self.peak.store(if peak < 1e-5 { 0 } else { peak.to_bits() }, Relaxed);
    }
}

impl Default for Controls {
    fn default() -> Self {
        let controls = Self {
            gain: AtomicU32::new(1.0f32.to_bits()),
            muted: AtomicBool::new(false),
            peak: AtomicU32::new(0),
            tier: AtomicU32::new(0),
            most_players: AtomicU32::new(u32::MAX),
            least_us: AtomicU64::new(0),
            most_us: AtomicU64::new(0),
            fixed_us: AtomicU64::new(NOT_FIXED),
        };
        controls.set_bounds(Bounds::default());
        controls
    }
}

/// A source's sound in the mix's channels: mono to both sides of stereo, stereo to mono by halves.
fn turn<'a>(sound: &'a [f32], from: usize, to: usize, turned: &'a mut [f32]) -> &'a [f32] {
    match (from, to) {
        (1, 2) => {
            for (pair, sample) in turned.chunks_exact_mut(2).zip(sound) {
                pair.fill(*sample);
            }
            &turned[..sound.len() * 2]
        }
        (2, 1) => {
            for (sample, pair) in turned.iter_mut().zip(sound.chunks_exact(2)) {
                *sample = f32::midpoint(pair[0], pair[1]);
            }
            &turned[..sound.len() / 2]
        }
        _ => sound,
    }
}

/// Holes that are modelled in one block: all sources may miss a packet at once, before anybody knows how long that takes.
const MOST_MODELLED: u32 = 32;
/// Stands for a delay that follows the network.
const NOT_FIXED: u64 = u64::MAX;
/// The level meter falls by about 20 dB a second at 100 blocks a second.
const PEAK_DECAY: f32 = 0.977;
