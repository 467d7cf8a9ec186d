//! The last long datagrams, for those that a router could not pass on: it sends their beginning back, and they go again.

use std::collections::VecDeque;

/// The last long datagrams. What it holds is bounded: [`MOST`] of them.
#[derive(Debug, Default)]
pub struct Lately {
    kept: VecDeque<Vec<u8>>,
}

impl Lately {
    /// Keeps a datagram that has gone out, where a path may be too narrow for it.
    pub fn keep(&mut self, datagram: &[u8]) {
        if datagram.len() <= LEAST_LIMIT {
            return;
        }
        let oldest = if self.kept.len() == MOST { self.kept.pop_front() } else { None };
        let mut bytes = oldest.unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(datagram);
        self.kept.push_back(bytes);
    }

    /// The datagram that begins so, where it is still there; once.
    pub fn take(&mut self, beginning: &[u8]) -> Option<Vec<u8>> {
        if beginning.len() < TELLING {
            return None;
        }
        let place = self.kept.iter().position(|kept| kept.starts_with(beginning))?;
        self.kept.remove(place)
    }
}

/// Bytes that every path is taken to carry in one datagram: below that, the system sends it in parts.
pub const LEAST_LIMIT: usize = 512;
/// A second of packets of 10 ms, and a half.
const MOST: usize = 150;
/// Bytes that tell one datagram from another: an RTP header's.
const TELLING: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_lately_is_found_once_by_its_beginning() {
        let datagram = |n: usize| [&n.to_be_bytes()[..], &[7; 600]].concat();
        let mut lately = Lately::default();
        for n in 0..=MOST {
            lately.keep(&datagram(n));
        }
        lately.keep(&[1; LEAST_LIMIT]);
        assert_eq!(lately.take(&datagram(0)[..20]), None, "that is too long ago");
        assert_eq!(lately.take(&datagram(1)[..20]), Some(datagram(1)));
        assert_eq!(lately.take(&datagram(1)[..20]), None);
        assert_eq!(lately.take(&datagram(2)[..8]), None, "that is too little to know it by");
        assert_eq!(lately.take(&[1; 20]), None, "short ones are not kept");
    }
}
