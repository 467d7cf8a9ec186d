//! One source's payloads to sound, each by its own coding: a source may change it at any packet (RFC 3550 §5.1).
//!
//! Guaranteed: all that is delivered has the format of the source's first coding; sound that already has it is not changed by a bit. What has
//! another rate or other channels is converted as one sound, and its positions with it. Of a coding with a memory nothing is made
//! up where another coding was in between.
//!
//! Not guaranteed: that converted sound is delivered at once. The filter's length of it waits for what follows, or for
//! [`Voices::rest`].

use super::clocks::Leg;
use super::conform::Conform;
use super::decoding::Decoding;
use super::queue::{Head, Position};
use crate::engine::coding::Encoding;
use crate::engine::config::Wire;
use crate::engine::error::Result;
use crate::engine::format::Format;

/// Decodes one source.
pub struct Voices {
    wire: Wire,
    home: Format,
    /// One for each coding that was used lately, the one in use first.
    all: Vec<Voice>,
    /// The highest sequence number decoded.
    newest: u64,
    copies: bool,
}

struct Voice {
    encoding: Encoding,
    decoding: Decoding,
    conversion: Option<Box<Conversion>>,
}

/// From a coding's format to the source's.
struct Conversion {
    conform: Conform,
    from: Format,
    home: Format,
    /// What is added to positions, in which epoch.
    offset: (i64, u32),
    waits: bool,
}

impl Voices {
    /// For a source on `wire`; refused where this build cannot decode its encoding.
    pub fn new(wire: Wire, encoding: Encoding) -> Result<Self> {
        let first = Voice { encoding, decoding: Decoding::new(wire, encoding)?, conversion: None };
        Ok(Self { wire, home: encoding.format, all: vec![first], newest: 0, copies: false })
    }

    /// The coding in use.
    pub fn encoding(&self) -> Encoding {
        self.all[0].encoding
    }

    /// Whether a copy in one coding is a whole packet from before a change to the other: both are made of samples at one rate, and it was
    /// in use lately.
    pub fn alternate(&self, copy: Encoding, sound: Encoding) -> bool {
        let plain = |encoding: Encoding| encoding.coding.sample_bytes().is_some();
        plain(copy) && plain(sound) && copy.format.rate() == sound.format.rate() && self.knows(copy)
    }

    /// Whether it was in use lately.
    pub fn knows(&self, encoding: Encoding) -> bool {
        self.all.iter().any(|voice| voice.encoding == encoding)
    }

    /// The sender begins anew.
    pub fn reset(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        self.rest(deliver);
        self.all.iter_mut().for_each(|voice| voice.decoding.reset());
        self.newest = 0;
    }

    /// Takes room to decode in, or gives it back.
    pub fn lend(&mut self, room: &mut Vec<i16>) {
        self.all[0].decoding.lend(room);
    }

    /// Copies come with this source: what is lost may come as much later as they reach.
    pub fn expect_copies(&mut self) {
        if !std::mem::replace(&mut self.copies, true) {
            self.all.iter_mut().for_each(|voice| voice.decoding.expect_copies());
        }
    }

    /// A packet of that number came and holds no sound.
    pub fn pass(&mut self, sequence: u64) {
        self.all[0].decoding.pass(sequence);
    }

    /// Decodes a packet that is no copy, by `encoding`; `leg` is its place by its own clock. What can be had of those missing before it is
    /// delivered first, in order.
    pub fn decode(
        &mut self,
        head: Head,
        leg: &Leg,
        encoding: Encoding,
        payload: &[u8],
        deliver: &mut dyn FnMut(Head, &[i16]),
    ) {
        let mut index = self.all.iter().position(|voice| voice.encoding == encoding);
        if index.is_none() {
            let Ok(voice) = self.voice(encoding) else { return };
            if self.all.len() == MOST {
                self.all.pop().into_iter().for_each(|mut voice| voice.rest(deliver));
            }
            self.all.push(voice);
            index = Some(self.all.len() - 1);
        }
        let mut index = index.unwrap_or(0);
        if head.sequence > self.newest {
            self.newest = head.sequence;
            if index > 0 {
                self.all[0].rest(deliver);
                self.all[index].decoding.reset();
                self.all[..=index].rotate_right(1);
                index = 0;
            }
        }
        let voice = &mut self.all[index];
        voice.decode(head, leg, payload, deliver);
        if index > 0 {
            voice.rest(deliver);
        }
    }

    /// Delivers what waits: nothing follows for now.
    pub fn rest(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        self.all[0].rest(deliver);
    }

    /// Whether anything waits for what follows.
    pub fn waits(&self) -> bool {
        self.all[0].conversion.as_ref().is_some_and(|conversion| conversion.waits)
    }

    fn voice(&self, encoding: Encoding) -> Result<Voice> {
        let mut decoding = Decoding::new(self.wire, encoding)?;
        if self.copies {
            decoding.expect_copies();
        }
        let (from, home) = (encoding.format, self.home);
        let conversion = if from == home {
            None
        } else {
            let conform = Conform::new(from, home)?;
            Some(Box::new(Conversion { conform, from, home, offset: (0, 0), waits: false }))
        };
        Ok(Voice { encoding, decoding, conversion })
    }
}

impl Voice {
    fn decode(&mut self, head: Head, leg: &Leg, payload: &[u8], deliver: &mut dyn FnMut(Head, &[i16])) {
        let Some(conversion) = &mut self.conversion else {
            return self.decoding.decode(head, payload, deliver);
        };
        let Some(frames) = self.decoding.frames(payload) else { return };
        let position = conversion.begin(&head, leg, deliver);
        self.decoding.decode(Head { position, frames, ..head }, payload, &mut |head, samples| {
            conversion.take(head, samples, deliver);
        });
    }

    fn rest(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        if let Some(conversion) = &mut self.conversion {
            conversion.rest(deliver);
        }
    }
}

impl Conversion {
    /// The place of the packet `head` by its own clock.
    fn begin(&mut self, head: &Head, leg: &Leg, deliver: &mut dyn FnMut(Head, &[i16])) -> Position {
        if self.from.rate() == self.home.rate() {
            return head.position;
        }
        // A whole number of seconds at either rate.
        let own = Position((u64::from(self.from.rate()) << BASE).saturating_add_signed(leg.since()));
        let home = (u64::from(self.home.rate()) << BASE).saturating_add_signed(leg.scaled_since());
        let offset = (head.position.0.wrapping_sub(home) as i64, head.epoch);
        if offset != self.offset {
            self.rest(deliver);
            self.offset = offset;
        }
        own
    }

    fn take(&mut self, head: Head, samples: &[i16], deliver: &mut dyn FnMut(Head, &[i16])) {
        self.waits = self.from.rate() != self.home.rate();
        let offset = self.offset.0;
        self.conform.take(head, samples, &mut |head, samples| deliver(moved(head, offset), samples));
    }

    fn rest(&mut self, deliver: &mut dyn FnMut(Head, &[i16])) {
        self.waits = false;
        let offset = self.offset.0;
        self.conform.rest(&mut |head, samples| deliver(moved(head, offset), samples));
    }
}

fn moved(head: Head, offset: i64) -> Head {
    Head { position: Position(head.position.0.wrapping_add_signed(offset)), ..head }
}

/// Codings of one source that are kept ready.
const MOST: usize = 4;
/// Own positions begin at this power of two of seconds.
const BASE: u32 = 24;
