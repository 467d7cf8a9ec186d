//! Which packets were opened already (RFC 3711 §3.3.2), and which rollover counter a sequence number belongs to (§3.3.1).

use super::Refused;

/// The packets opened lately.
pub struct Window {
    highest: u64,
    /// A ring: index `n` has bit `n % SIZE`.
    seen: [u64; WORDS],
}

impl Window {
    /// Packets below the highest that can still be told from a replay.
    pub const SIZE: u64 = 1_024;

    /// The first packet.
    pub fn new(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; WORDS] };
        window.mark(first);
        window
    }

    /// The last packet of all.
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet may be new. Changes nothing: it may be forged.
    pub fn check(&self, index: u64) -> Result<(), Refused> {
        if index > self.highest {
            Ok(())
        } else if self.highest - index >= Self::SIZE {
            Err(Refused::TooOld)
        } else if self.seen[word(index)] & bit(index) != 0 {
            Err(Refused::Replayed)
        } else {
            Ok(())
        }
    }

    /// Marks an authentic packet that [`check`](Self::check) let through.
    pub fn accept(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= Self::SIZE {
                self.seen = [0; WORDS];
            } else {
                for between in self.highest + 1..index {
                    self.seen[word(between)] &= !bit(between);
                }
            }
            self.highest = index;
        }
        self.mark(index);
    }

    /// The index nearest to the highest that ends in `sequence`; `None` where that lies before the first or after the last.
    pub fn index_of(&self, sequence: u16) -> Option<u64> {
        let rollover = self.highest >> 16;
        let highest = self.highest as u16;
        let rollover = if highest < HALF && sequence.saturating_sub(highest) > HALF {
            rollover.checked_sub(1)?
        } else if highest >= HALF && highest - HALF > sequence {
            rollover + 1
        } else {
            rollover
        };
        u32::try_from(rollover).is_ok().then_some(rollover << 16 | u64::from(sequence))
    }

    fn mark(&mut self, index: u64) {
        self.seen[word(index)] |= bit(index);
    }
}

const fn word(index: u64) -> usize {
    (index / 64) as usize % WORDS
}

const fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

const WORDS: usize = (Window::SIZE / 64) as usize;
const HALF: u16 = 0x8000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_sequence_number_belongs_to_the_nearest_rollover() {
        let of = |highest, sequence| Window::new(highest).index_of(sequence);
        assert_eq!(of(0x3_0005, 0xfffe), Some(0x2_fffe));
        assert_eq!(of(0x3_fffe, 0x0005), Some(0x4_0005));
        assert_eq!(of(0x3_0005, 0x8005), Some(0x3_8005));
        assert_eq!(of(0x3_0005, 0x8006), Some(0x2_8006));
        assert_eq!(of(0x3_8000, 0x0000), Some(0x3_0000));
        assert_eq!(of(0x3_8001, 0x0000), Some(0x4_0000));
        assert_eq!(of(0x0_0005, 0xfffe), None);
        assert_eq!(of(0xffff_ffff_fffe, 0x0005), None);
    }

    proptest! {
        #[test]
        fn no_index_is_let_through_twice_and_none_within_the_window_is_lost(
            steps in prop::collection::vec(prop_oneof![4 => -3_i64..8, 2 => -1_100_i64..1_100, 1 => -5_000_i64..40_000], 1..400),
        ) {
            let mut at = 70_000_i64;
            let mut window = Window::new(at as u64);
            let mut opened = HashSet::from([at]);
            let mut highest = at;
            for step in steps {
                at = (at + step).max(0);
                let expected = if highest - at >= Window::SIZE as i64 {
                    Err(Refused::TooOld)
                } else if opened.contains(&at) {
                    Err(Refused::Replayed)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(at as u64), expected);
                if expected.is_ok() {
                    window.accept(at as u64);
                    opened.insert(at);
                    highest = highest.max(at);
                }
            }
        }
    }
}
