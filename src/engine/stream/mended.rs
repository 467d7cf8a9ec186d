//! Which lost packets were brought back, and which were brought before it is known that they are lost.

use super::sequence::WINDOW;

/// One bit for each of the `WINDOW` numbers up to the highest seen, and of the `WINDOW` after it.
/// No memory before one is.
pub struct Mended {
    bits: Option<Box<[u64; 2 * WINDOW / 64]>>,
}

impl Mended {
    /// None.
    pub fn new() -> Self {
        Self { bits: None }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.bits = None;
    }

    /// Whether this one was brought.
    pub fn has(&self, sequence: u64) -> bool {
        self.bits.as_ref().is_some_and(|bits| bits[word(sequence)] & bit(sequence) != 0)
    }

    /// This one was brought; whether it is news.
    pub fn set(&mut self, sequence: u64) -> bool {
        let news = !self.has(sequence);
        self.bits.get_or_insert_with(|| Box::new([0; 2 * WINDOW / 64]))[word(sequence)] |= bit(sequence);
        news
    }

    /// It was not lost; whether it had been brought.
    pub fn unset(&mut self, sequence: u64) -> bool {
        let was = self.has(sequence);
        if let Some(bits) = &mut self.bits {
            bits[word(sequence)] &= !bit(sequence);
        }
        was
    }

    /// The highest number was `from` and is `to`: how many between them are missing and were brought early.
    pub fn advance(&mut self, from: u64, to: u64) -> u64 {
        let window = WINDOW as u64;
        if self.bits.is_none() {
            return 0;
        }
        let mut early = 0;
        for sequence in from + 1..to.min(from + window + 1) {
            early += u64::from(self.has(sequence));
        }
        // What is new at either end was never told of.
        for sequence in (from + window + 1..=to + window).take(2 * WINDOW) {
            self.unset(sequence);
        }
        early
    }
}

fn word(sequence: u64) -> usize {
    sequence as usize % (2 * WINDOW) / 64
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}
