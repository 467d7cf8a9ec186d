//! Those who hear a mix of their own: of all players but the one that is theirs (N-1), and of what only they hear.
//!
//! Guaranteed: a listener never hears itself, nor is anybody's mix limited for what another hears; nothing here allocates
//! after construction, locks or logs. Where a listener's ring is full, the sound that does not fit is dropped and counted.
//!
//! Not guaranteed: that two mixes are the same to the bit beyond 16: what is added and taken away again leaves its rounding.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::inlet::STRIDE;
use super::mixer::{Gain, Mixer};
use crate::engine::format::{Format, to_i16};

/// One of them, to be handed to the [renderer](super::render).
pub struct Listener {
    own: u32,
    channels: usize,
    mix: Mixer,
    sound: Producer<i16>,
    dropped: Arc<AtomicU64>,
}

/// Where a listener's mix comes out. Dropped, it dismisses the listener.
pub struct Ear {
    /// Interleaved, in the renderer's format.
    pub sound: Consumer<i16>,
    dropped: Arc<AtomicU64>,
}

impl Listener {
    /// Hears all but the player of the number `own`; as much as lasts `room` may wait to be taken.
    pub fn new(own: u32, format: Format, room: Duration) -> (Self, Ear) {
        let channels = format.channels();
        let (sound, taken) = RingBuffer::new(format.frames(room) * channels);
        let dropped = Arc::new(AtomicU64::new(0));
        let mix = Mixer::new(format.rate(), channels, STRIDE);
        (Self { own, channels, mix, sound, dropped: Arc::clone(&dropped) }, Ear { sound: taken, dropped })
    }

    /// Whether nobody takes its mix any more.
    pub fn is_dismissed(&self) -> bool {
        self.sound.is_abandoned()
    }

    fn give(&mut self, total: &Mixer, apart: &Mixer) {
        self.mix.complement(total, apart);
        let mix = self.mix.finish();
        let room = self.sound.slots() / self.channels * self.channels;
        let taken = mix.len().min(room);
        if let Ok(chunk) = self.sound.write_chunk_uninit(taken) {
            chunk.fill_from_iter(mix[..taken].iter().map(|sample| to_i16(*sample)));
        }
        if taken < mix.len() {
            self.dropped.fetch_add(((mix.len() - taken) / self.channels) as u64, Relaxed);
        }
    }
}

impl Ear {
    /// Frames that found no room, so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// All of a renderer's.
pub struct Listeners {
    all: Vec<Listener>,
    /// What only listeners hear.
    apart: Mixer,
    /// Told whenever sound was given out. Must not block.
    bell: Option<Box<dyn Fn() + Send>>,
}

impl Listeners {
    /// None yet, and never more than `most`.
    pub fn new(format: Format, most: usize) -> Self {
        let apart = Mixer::new(format.rate(), format.channels(), STRIDE);
        Self { all: Vec::with_capacity(most), apart, bell: None }
    }

    /// Is called from now on whenever listeners were given sound; must neither block nor allocate.
    pub fn set_bell(&mut self, bell: Box<dyn Fn() + Send>) {
        self.bell = Some(bell);
    }

    /// One more; given back where there is no room.
    pub fn admit(&mut self, listener: Listener) -> Result<(), Listener> {
        if self.all.len() == self.all.capacity() {
            return Err(listener);
        }
        self.all.push(listener);
        Ok(())
    }

    /// One that has been dismissed, if there is any.
    pub fn dismissed(&mut self) -> Option<Listener> {
        let at = self.all.iter().position(Listener::is_dismissed)?;
        Some(self.all.swap_remove(at))
    }

    /// Begins a block of `frames` frames.
    pub fn begin(&mut self, frames: usize) {
        if self.all.is_empty() {
            return;
        }
        self.apart.begin(frames);
        for listener in &mut self.all {
            listener.mix.begin(frames);
        }
    }

    /// A player of that number is heard by everybody so: its own listeners will not hear it.
    pub fn leave_out(&mut self, number: u32, sound: &[f32], gain: Gain) {
        for listener in self.all.iter_mut().filter(|listener| listener.own == number) {
            listener.mix.add(sound, &mut { gain });
        }
    }

    /// A player that only listeners hear.
    pub fn add_apart(&mut self, sound: &[f32], gain: &mut Gain) {
        if !self.all.is_empty() {
            self.apart.add(sound, gain);
        }
    }

    /// Gives everybody their mix out of the whole, which must not be limited yet.
    pub fn give(&mut self, total: &Mixer) {
        for listener in &mut self.all {
            listener.give(total, &self.apart);
        }
    }

    /// All blocks of a call are given.
    pub fn ring(&self) {
        if !self.all.is_empty()
            && let Some(bell) = &self.bell
        {
            bell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::to_f32;

    fn block(listeners: &mut Listeners, total: &mut Mixer, players: &[(u32, f32)], apart: f32) {
        total.begin(4);
        listeners.begin(4);
        for (number, level) in players {
            listeners.leave_out(*number, &[*level; 4], Gain::UNITY);
            total.add(&[*level; 4], &mut Gain::UNITY.clone());
        }
        listeners.add_apart(&[apart; 4], &mut Gain::UNITY.clone());
        listeners.give(total);
    }

    fn heard(ear: &mut Ear) -> Vec<i16> {
        std::iter::from_fn(|| ear.sound.pop().ok()).collect()
    }

    #[test]
    fn everybody_hears_all_others_and_what_is_for_listeners_only() {
        let mut listeners = Listeners::new(Format::DEFAULT, 3);
        let mut total = Mixer::new(44_100, 1, 4);
        let mut ears: Vec<Ear> = (1..4)
            .map(|number| {
                let (listener, ear) = Listener::new(number, Format::DEFAULT, Duration::from_secs(1));
                assert!(listeners.admit(listener).is_ok());
                ear
            })
            .collect();
        let players = [(1, to_f32(100)), (2, to_f32(1_000)), (3, to_f32(10_000))];
        block(&mut listeners, &mut total, &players, to_f32(7));
        let mixes: Vec<_> = ears.iter_mut().map(heard).collect();
        assert_eq!(mixes, [[11_007; 4], [10_107; 4], [1_107; 4]]);
        // Alone in the room there is nothing to hear.
        block(&mut listeners, &mut total, &players[..1], 0.0);
        assert_eq!(heard(&mut ears[0]), [0; 4]);
    }

    #[test]
    fn a_loud_voice_is_limited_for_those_who_hear_it_only() {
        let mut listeners = Listeners::new(Format::DEFAULT, 2);
        let mut total = Mixer::new(44_100, 1, 4);
        let (one, mut ear) = Listener::new(1, Format::DEFAULT, Duration::from_secs(1));
        let (two, mut other) = Listener::new(2, Format::DEFAULT, Duration::from_secs(1));
        assert!(listeners.admit(one).is_ok() && listeners.admit(two).is_ok());
        let mut last = [Vec::new(), Vec::new()];
        for _ in 0..1_000 {
            block(&mut listeners, &mut total, &[(1, 0.9), (2, to_f32(500)), (3, 0.9)], 0.0);
            last = [heard(&mut ear), heard(&mut other)];
        }
        // The first hears one loud voice, the second two.
        assert!(last[0].iter().all(|sample| (28_000..29_500).contains(sample)), "{last:?}");
        assert!(last[1].iter().all(|sample| (30_000..32_767).contains(sample)), "{last:?}");
        for _ in 0..10_000 {
            block(&mut listeners, &mut total, &[(1, 0.9), (2, to_f32(500))], 0.0);
            last[0] = heard(&mut ear);
        }
        assert_eq!(last[0], [500; 4]);
    }

    #[test]
    fn who_does_not_listen_loses_sound_by_count_and_goes_when_its_ear_is_gone() {
        let mut listeners = Listeners::new(Format::DEFAULT, 1);
        let mut total = Mixer::new(44_100, 1, 4);
        let (listener, ear) = Listener::new(1, Format::DEFAULT, Duration::from_millis(1));
        assert!(listeners.admit(listener).is_ok());
        let (second, _ear) = Listener::new(2, Format::DEFAULT, Duration::from_millis(1));
        assert!(listeners.admit(second).is_err());
        for _ in 0..20 {
            block(&mut listeners, &mut total, &[(2, 0.5)], 0.0);
        }
        assert_eq!(ear.dropped(), 80 - 44);
        assert!(listeners.dismissed().is_none());
        drop(ear);
        assert!(listeners.dismissed().is_some() && listeners.all.is_empty());
    }
}
