//! What is not understood is said: once for each that sends it, and then ever more rarely, with what can be done about it.

use std::net::IpAddr;
use std::time::Duration;

use super::{Name, Sources, TARGET};
use crate::engine::coding::{DYNAMIC, Payload};
use crate::engine::config::Wire;
use crate::engine::time::Micros;
use crate::engine::wire::content::{Content, content_of};
use crate::engine::wire::rtp;

/// What was said, and to whom it was about.
#[derive(Default)]
pub struct Hints {
    kept: Vec<Hint>,
}

struct Hint {
    from: IpAddr,
    what: What,
    /// Packets since it was said.
    count: u64,
    told: Micros,
    pause: Duration,
}

/// What was not understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// A payload type that nothing describes.
    Type(u8),
    /// A payload that is not what its type says.
    Payload(u8),
    /// Neither of the wires.
    Bytes,
}

impl Sources {
    /// Says what a packet of nothing known is, where it is time to.
    pub(super) fn hint(&mut self, from: IpAddr, bytes: &[u8], now: Micros) {
        if bytes.is_empty() || rtp::is_rtcp(bytes) || self.opening.is_some() {
            return;
        }
        let types = &self.config.payloads;
        let header = rtp::parse(bytes).ok().filter(|_| self.config.wire != Some(Wire::Classic));
        let what = match (header, content_of(bytes, types)) {
            (_, Some((header, Content::Unknown))) if self.config.wire != Some(Wire::Classic) => {
                What::Type(header.payload_type)
            }
            (Some((header, _)), None) if types.get(header.payload_type).is_some() => {
                What::Payload(header.payload_type)
            }
            (Some(_), Some(_)) => return,
            _ => What::Bytes,
        };
        let Some(count) = self.hints.tell(from, what, now) else { return };
        let length = header.map_or(bytes.len(), |(_, payload)| payload.len());
        let more = if count > 1 { format!(" ({count} packets)") } else { String::new() };
        let line = match what {
            What::Type(number) => {
                format!("PT {number}, {length} bytes, from {from}{more}: {}", remedy(number))
            }
            What::Payload(number) => {
                let taken = match types.get(number) {
                    Some(Payload::Sound(encoding)) => encoding.to_string(),
                    Some(Payload::Redundant) => "redundant sound (RFC 2198)".into(),
                    Some(Payload::Events(_)) => "telephone events".into(),
                    Some(Payload::Comfort(_)) | None => "comfort noise".into(),
                };
                format!(
                    "PT {number}, {length} bytes, from {from}{more}: it is taken for {taken} and cannot be that: if it is something \
                     else, give its description with --sdp"
                )
            }
            What::Bytes if self.config.wire == Some(Wire::Rtp) => {
                format!(
                    "{length} bytes from {from}{more}: no RTP, and the server hears nothing else (--wire)"
                )
            }
            What::Bytes => format!(
                "{length} bytes of neither RTP nor the classic wire from {from}{more}; bare PCM must be sent in RTP (payload type 11) or behind the classic 2-byte number"
            ),
        };
        if self.may_tell(now) {
            log::warn!(target: TARGET, "{line}");
        }
    }

    /// The same of a source's packet that is received, and not understood.
    pub(super) fn hint_of(&mut self, name: &Name, bytes: &[u8], now: Micros) {
        let unknown = content_of(bytes, &self.config.payloads);
        if unknown.is_some_and(|(_, content)| content == Content::Unknown) {
            self.hint(name.address.ip(), bytes, now);
        }
    }
}

impl Hints {
    /// One more packet; how many are to be told of now.
    fn tell(&mut self, from: IpAddr, what: What, now: Micros) -> Option<u64> {
        let Some(hint) = self.kept.iter_mut().find(|hint| (hint.from, hint.what) == (from, what)) else {
            if self.kept.len() == MOST {
                self.kept.remove(0);
            }
            self.kept.push(Hint { from, what, count: 0, told: now, pause: PAUSE });
            return Some(1);
        };
        hint.count += 1;
        if now.since(hint.told) < hint.pause {
            return None;
        }
        (hint.told, hint.pause) = (now, (hint.pause * 2).min(LONGEST_PAUSE));
        Some(std::mem::take(&mut hint.count))
    }
}

/// What can be done about a payload type that nothing describes.
fn remedy(payload_type: u8) -> String {
    let name = match payload_type {
        3 => "GSM",
        4 => "G723",
        5 | 6 | 16 | 17 => "DVI4",
        7 => "LPC",
        9 => "G722",
        12 => "QCELP",
        14 => "MPA",
        15 => "G728",
        18 => "G729",
        26 => "JPEG",
        31 => "H261",
        32 => "MPV",
        33 => "MP2T",
        34 => "H263",
        DYNAMIC.. => return "nothing says what it is: give its description with --sdp".into(),
        _ => {
            return "it is no type of sound that is understood here: have it send L16, PCMU, PCMA or Opus"
                .into();
        }
    };
    format!("it is {name}, which is not understood here: have it send L16, PCMU, PCMA or Opus")
}

/// Senders and kinds that are remembered.
const MOST: usize = 64;
/// After the first time …
const PAUSE: Duration = Duration::from_secs(60);
/// … and at last.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_then_rarely_and_a_crowd_takes_no_room() {
        let mut hints = Hints::default();
        let at = |seconds: u64| Micros(seconds * 1_000_000);
        let from = IpAddr::from([192, 0, 2, 1]);
        let told: Vec<(u64, u64)> = (0..10_000)
            .filter_map(|second| Some((second, hints.tell(from, What::Type(127), at(second))?)))
            .collect();
        assert_eq!(told[..4], [(0, 1), (60, 60), (180, 120), (420, 240)]);
        assert_eq!(told.len(), 8);
        assert_eq!(hints.tell(from, What::Bytes, at(10_000)), Some(1));
        (0..1000u32).for_each(|n| _ = hints.tell(IpAddr::from(n.to_be_bytes()), What::Bytes, at(10_000)));
        assert_eq!(hints.kept.len(), MOST);
    }
}
