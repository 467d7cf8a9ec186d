//! What nobody should send.

use super::*;
use proptest::prelude::*;

/// What a hostile sender does next.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Packets in their turn.
    Honest(u8),
    /// One packet this far from its place, frames.
    Astray(i64),
    /// From now on positions are elsewhere.
    Jump(i64),
    Duplicates(u16),
    /// A packet of so many frames.
    Length(u32),
    Epoch,
    /// Nothing for so many blocks.
    Silence(u8),
    /// The pulls' clock jumps, µs.
    Clock(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let far = prop_oneof![
        Just(1i64 << 31),
        Just(-(1i64 << 31)),
        Just(1i64 << 32),
        Just(158_760_000),
        -200_000i64..200_000,
        -2_000i64..2_000
    ];
    prop_oneof![
        4 => (1u8..40).prop_map(Deed::Honest),
        2 => far.clone().prop_map(Deed::Astray),
        1 => far.prop_map(Deed::Jump),
        1 => (1u16..400).prop_map(Deed::Duplicates),
        1 => prop_oneof![Just(0u32), Just(1), Just(40_000), 0u32..70_000].prop_map(Deed::Length),
        1 => Just(Deed::Epoch),
        1 => (1u8..150).prop_map(Deed::Silence),
        1 => prop_oneof![-3_000_000i64..3_000_000, Just(-1i64 << 40), Just(1i64 << 40)].prop_map(Deed::Clock),
    ]
}

struct Fiend {
    rig: Rig,
    now: Micros,
    place: u64,
    sequence: u64,
    epoch: u32,
    block: usize,
}

impl Fiend {
    fn send(&mut self, at: u64, frames: u32) {
        let samples: Vec<i16> = (at..at + u64::from(frames)).map(noise).collect();
        let head = Head {
            sequence: self.sequence,
            position: Position(at),
            epoch: self.epoch,
            arrival: self.now,
            frames,
            ..Head::default()
        };
        self.sequence += 1;
        self.rig.writer.push(head, &samples);
    }

    fn pull(&mut self) -> bool {
        let call = Call { at: self.now, frames: self.block };
        self.now = self.now + Format::DEFAULT.duration(self.block as u64);
        let h = self.rig.pull(call);
        assert!(h.sound.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
        h.sound.iter().any(|s| *s != 0.0)
    }

    fn honest(&mut self) -> bool {
        self.send(self.place, 441);
        self.place += 441;
        let mut sound = false;
        for _ in 0..(441 / self.block).max(1) {
            sound |= self.pull();
        }
        sound
    }

    fn moved(&self, by: i64) -> u64 {
        self.place.saturating_add_signed(by).clamp(1 << 20, 1 << 50)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 500 }))]

    /// Whatever was sent before: of honest packets most are heard at once, and when what was learned of the others is
    /// forgotten, all is as it was.
    #[test]
    fn no_deed_has_lasting_consequences(deeds in prop::collection::vec(deed(), 1..25), block in prop_oneof![Just(441usize), Just(147)]) {
        let mut rig = Rig::new(&scenario(441, Duration::ZERO), block, Bounds::default());
        rig.renderer.set_tier(Tier::Pitch);
        let mut f = Fiend { rig, now: START, place: 1 << 40, sequence: 0, epoch: 0, block };
        for deed in deeds {
            match deed {
                Deed::Honest(count) => (0..count).for_each(|_| { f.honest(); }),
                Deed::Astray(by) => { f.send(f.moved(by), 441); f.pull(); }
                Deed::Jump(by) => f.place = f.moved(by),
                Deed::Duplicates(count) => (0..count).for_each(|_| f.send(f.place - 441, 441)),
                Deed::Length(frames) => { f.send(f.place, frames); f.place += u64::from(frames); }
                Deed::Epoch => f.epoch += 1,
                Deed::Silence(blocks) => (0..blocks).for_each(|_| { f.pull(); }),
                Deed::Clock(by) => f.now = Micros(f.now.0.saturating_add_signed(by).clamp(1, 1 << 60)),
            }
        }
        // At first there may be silence and haste, but not for long.
        let silent = (0..300).filter(|_| !f.honest()).count();
        prop_assert!(silent < 150, "{silent} silent packets of 300");
        (0..9_700).for_each(|_| { f.honest(); });
        let before = f.rig.figures();
        let silent = (0..200).filter(|_| !f.honest()).count();
        let after = f.rig.figures();
        prop_assert_eq!(silent, 0);
        prop_assert!(after.delay_ms < 100.0, "{after:?}");
        prop_assert_eq!(after.resets, before.resets);
        prop_assert_eq!(after.late_packets, before.late_packets);
    }
}

#[test]
fn ten_thousand_duplicates_an_hour_ahead_and_a_jump_of_two_to_the_31_cost_little() {
    let rig = Rig::new(&scenario(441, Duration::ZERO), 441, Bounds::default());
    let mut f = Fiend { rig, now: START, place: 1 << 40, sequence: 0, epoch: 0, block: 441 };
    (0..200).for_each(|_| {
        f.honest();
    });
    let clean = f.rig.figures();
    for _ in 0..10 {
        (0..1_000).for_each(|_| f.send(f.place - 441, 441));
        assert!(f.pull());
        f.place += 441;
    }
    (0..200).for_each(|_| {
        f.honest();
    });
    f.send(f.place + 3_600 * u64::from(RATE), 441);
    assert!((0..200).all(|_| f.honest()), "a packet an hour ahead is not believed");
    f.place += 1 << 31;
    let silent = (0..200).filter(|_| !f.honest()).count();
    let figures = f.rig.figures();
    println!("{clean:?}\n{figures:?}\n{silent} silent after the jump");
    assert!(silent <= 5 && figures.delay_ms < 30.0);
    assert_eq!(figures.resets, 1);
}
