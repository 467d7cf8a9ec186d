//! Whether it pays to wait one packet longer, so that sound behind a lost packet is known when it is concealed.
//!
//! Filling a hole from both sides is worth half a point of PESQ or more against going on from one; it costs one packet of
//! delay. So it is done while packets are lost, and not where they are not. A codec that makes up what is missing can do so
//! when the next packet has come: a hole of several packets is waited for while such holes are frequent.

use std::time::Duration;

use crate::engine::format::Format;
use crate::engine::stream::queue::{Head, Origin};

/// How often sound is missing lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Foresight {
    /// Frames of one packet a hole for which waiting one packet helps, and for which only two do, forgetting.
    missing: [f64; 2],
    /// The length of a packet, frames.
    packet: usize,
    looking: [bool; 2],
    /// Packets of the present hole that the codec made up, and the last one's number.
    made_up: (u32, u64),
}

impl Foresight {
    /// A packet of `frames` frames came.
    pub fn arrived(&mut self, format: Format, frames: usize) {
        self.packet = frames;
        let memory = f64::from(format.rate()) * MEMORY.as_secs_f64();
        for (missing, looking) in self.missing.iter_mut().zip(&mut self.looking) {
            *missing -= *missing * (frames as f64 / memory).min(1.0);
            let share = *missing / memory;
            *looking = if *looking { share > SELDOM } else { share > OFTEN };
        }
    }

    /// A hole was met. It counts as one packet, however long it is: one packet of waiting helps a long one no more.
    pub fn missed(&mut self) {
        self.missing[0] += self.packet as f64;
    }

    /// A packet came from the codec or the network: what is made up comes when the hole's end is known, too late for all
    /// but the last packet of it.
    pub fn heard(&mut self, head: &Head) {
        if head.origin == Origin::Revised {
            return;
        }
        let (count, last) = self.made_up;
        self.made_up = match head.origin {
            Origin::Concealed if head.sequence == last + 1 => (count + 1, head.sequence),
            Origin::Concealed => (1, head.sequence),
            _ => (0, 0),
        };
        if count == 0 || head.origin == Origin::Concealed || head.sequence != last + 1 {
            return;
        }
        let late = count - u32::from(head.origin == Origin::Received);
        for missing in self.missing.iter_mut().take(late as usize) {
            *missing += self.packet as f64;
        }
    }

    /// How much longer to wait.
    pub fn look(&self, format: Format) -> Duration {
        let packets = self.looking.into_iter().take_while(|looking| *looking).count() as u32;
        format.duration(self.packet as u64).min(LONGEST) * packets
    }
}

/// Above this share of packets missing it pays …
const OFTEN: f64 = 0.005;
/// … until there is less than this.
const SELDOM: f64 = 0.002;
/// After this much sound a hole weighs 1/e.
const MEMORY: Duration = Duration::from_secs(10);
/// Longer packets are not waited for: what is that far away says nothing about the hole.
const LONGEST: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_ahead_while_packets_are_lost_and_forgets_it_when_they_are_not() {
        let format = Format::DEFAULT;
        let mut f = Foresight::default();
        let mut looks = |every: usize, packets: usize| {
            for n in 0..packets {
                f.arrived(format, 441);
                if n % every == every - 1 {
                    f.missed();
                }
            }
            f.look(format)
        };
        assert_eq!(looks(1_000, 20_000), Duration::ZERO, "one in a thousand");
        assert_eq!(looks(50, 2_000), Duration::from_millis(10), "one in fifty");
        assert_eq!(looks(usize::MAX, 500), Duration::from_millis(10), "after five seconds without");
        assert_eq!(looks(usize::MAX, 3_000), Duration::ZERO, "after half a minute without");
    }
}
