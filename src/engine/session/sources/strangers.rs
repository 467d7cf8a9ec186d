//! Who is on probation: a few at a time, and of one place fewer still.

use super::Name;
use crate::engine::networks::Place;

/// The names of those that are not believed yet. Bounded.
pub struct Strangers {
    names: Vec<Name>,
    dice: u64,
    most: usize,
}

impl Strangers {
    /// For a server that hears so many at once.
    pub const fn new(max_sources: usize) -> Self {
        Self { names: Vec::new(), dice: 0, most: if max_sources > MOST { max_sources } else { MOST } }
    }

    /// One more; who has to go for it, if anybody: of its own place where that has too many, else of all. Chance decides, so that
    /// no flood of names can keep an honest one from its second packet for long.
    pub fn add(&mut self, name: Name) -> Option<Name> {
        let place = Place::from(name.address.ip());
        let there = self.names.iter().enumerate().filter(|(_, n)| Place::from(n.address.ip()) == place);
        let there: Vec<_> = there.map(|(index, _)| index).collect();
        let gone = if !place.is_loopback() && there.len() >= MOST_THERE {
            Some(there[self.chance(there.len())])
        } else {
            (self.names.len() >= self.most).then(|| self.chance(self.names.len()))
        };
        let gone = gone.map(|index| self.names.swap_remove(index));
        self.names.push(name);
        gone
    }

    /// It is believed, or forgotten.
    pub fn remove(&mut self, name: &Name) {
        self.names.retain(|other| other != name);
    }

    fn chance(&mut self, most: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x9e37_79b9_7f4a_7c15);
        (self.dice >> 33) as usize % most
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }
}

/// Strangers at once, where no more can be heard.
pub const MOST: usize = 128;
/// Strangers of one place, this machine excepted.
const MOST_THERE: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::engine::config::Wire;

    fn name(address: [u8; 4], ssrc: u32) -> Name {
        Name { address: SocketAddr::from((address, 5004)), wire: Wire::Rtp, ssrc, connected: false }
    }

    #[test]
    fn one_place_pushes_out_its_own_only() {
        let mut strangers = Strangers::new(1);
        assert_eq!(strangers.add(name([192, 0, 2, 1], 0)), None);
        for ssrc in 0..1000 {
            let gone = strangers.add(name([192, 0, 2, 9], ssrc));
            assert_eq!(gone.is_some(), ssrc >= 8);
            assert!(gone.is_none_or(|gone| gone.address == name([192, 0, 2, 9], 0).address));
        }
        assert_eq!(strangers.len(), 9);
        strangers.remove(&name([192, 0, 2, 1], 0));
        assert_eq!(strangers.len(), 8);
    }

    #[test]
    fn a_flood_from_everywhere_stays_small_and_lets_some_stay() {
        let mut strangers = Strangers::new(1);
        let honest = name([198, 51, 100, 1], 7);
        let (mut stayed, mut tries) = (0, 0);
        for n in 0..100_000u32 {
            let [_, b, c, d] = n.to_be_bytes();
            strangers.add(name([10, b, c, d], n));
            // At 10,000 packets a second, a packet every 10 ms.
            if n % 100 == 0 {
                stayed += usize::from(strangers.names.contains(&honest));
                tries += 1;
                strangers.remove(&honest);
                strangers.add(honest);
            }
            assert!(strangers.len() <= MOST);
        }
        assert!(stayed * 4 > tries, "{stayed} of {tries}");
    }

    #[test]
    fn this_machine_is_no_crowd() {
        let mut strangers = Strangers::new(1);
        assert!((0..MOST as u32).all(|ssrc| strangers.add(name([127, 0, 0, 1], ssrc)).is_none()));
        assert!(strangers.add(name([127, 0, 0, 1], 1000)).is_some());
    }
}
