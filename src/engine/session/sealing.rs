//! A client's side of its key: what it sends is sealed, what it is answered is opened (SRTP, SRTCP).
//!
//! Guaranteed: what cannot be sealed is not sent, and what is not authentic is not read. No two packets have the same keystream: every
//! stream, copies too, has a sealer of its own. Bounded: a few streams, a few that answer.

use super::complaints::Refusal;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::key::{Key, KeyForm};
use crate::engine::wire::framing::write_frame;
use crate::engine::wire::rtp;
use crate::engine::wire::seal::{self, Nonce, NotSealed, Opener, Refused, Sealer, Way};

/// Seals a client's streams, and opens the answers to them.
pub struct Sealing {
    key: Key,
    /// The stream itself; the others are its copies.
    primary: u32,
    streams: Vec<Stream>,
    /// Those that answer, the oldest first.
    answers: Vec<(u32, Opener)>,
    out: Vec<u8>,
    frame: Vec<u8>,
    opened: Vec<u8>,
}

/// Sealing sound, or reports.
type How = fn(&mut Sealer, &[u8], &mut Vec<u8>) -> Result<(), NotSealed>;

/// Opening sound, or reports.
type Open = fn(&mut Opener, &[u8], &mut Vec<u8>) -> Result<(), Refused>;

/// What seals one stream.
struct Stream {
    ssrc: u32,
    nonce: Nonce,
    sealer: Sealer,
}

impl Sealing {
    /// For the stream `primary` and its copies.
    pub fn new(key: Key, primary: u32) -> Result<Self> {
        let first = Stream::new(&key, primary)?;
        let (answers, out, frame, opened) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { key, primary, streams: vec![first], answers, out, frame, opened })
    }

    /// A packet of sound, sealed, in an RFC 4571 frame where it is to be `framed`; `None` where it must not be sent: it went already.
    pub fn sound(&mut self, packet: &[u8], framed: bool) -> Result<Option<&[u8]>> {
        let ssrc = seal::ssrc(packet).unwrap_or(self.primary);
        if self.seal(ssrc, packet, Sealer::seal_rtp)?.is_none() {
            return Ok(None);
        }
        if framed {
            self.frame.clear();
            write_frame(&self.out, &mut self.frame);
        }
        Ok(Some(if framed { &self.frame } else { &self.out }))
    }

    /// A report, sealed.
    pub fn report(&mut self, packet: &[u8]) -> Result<Option<&[u8]>> {
        self.seal(self.primary, packet, Sealer::seal_rtcp)
    }

    /// What is in an answer, reports or sound; an error where it is not authentic.
    pub fn open(&mut self, packet: &[u8]) -> Result<&[u8], Refusal> {
        let ssrc = seal::ssrc(packet).ok_or(Refusal::NotSealed)?;
        let how: Open = if rtp::is_rtcp(packet) { Opener::open_rtcp } else { Opener::open_rtp };
        // With a foreign key our own reports are authentic, too, when they come back.
        if self.streams.iter().any(|stream| stream.ssrc == ssrc) {
            return Err(Refusal::Replayed);
        }
        let refusal = |refused| Refusal::of(refused, packet);
        if let Some((_, opener)) = self
            .answers
            .iter_mut()
            .find(|(known, opener)| *known == ssrc && opener.peer() == seal::nonce(packet, self.key.form()))
        {
            how(opener, packet, &mut self.opened).map_err(refusal)?;
        } else {
            let mut opener = Opener::new(&self.key, Way::ToClient(self.streams[0].nonce), ssrc, 1);
            how(&mut opener, packet, &mut self.opened).map_err(refusal)?;
            if self.answers.len() == MOST_ANSWERING {
                self.answers.remove(0);
            }
            self.answers.push((ssrc, opener));
        }
        Ok(&self.opened)
    }

    fn seal(&mut self, ssrc: u32, packet: &[u8], how: How) -> Result<Option<&[u8]>> {
        let at = match self.streams.iter().position(|stream| stream.ssrc == ssrc) {
            Some(at) => at,
            None if self.streams.len() == MOST_STREAMS => return Ok(None),
            None => {
                self.streams.push(Stream::new(&self.key, ssrc)?);
                self.streams.len() - 1
            }
        };
        let mut done = how(&mut self.streams[at].sealer, packet, &mut self.out);
        if done == Err(NotSealed::Exhausted) && self.key.form() == KeyForm::Audiostream {
            // Another nonce is another key.
            self.streams[at] = Stream::new(&self.key, ssrc)?;
            if at == 0 {
                self.answers.clear();
            }
            done = how(&mut self.streams[at].sealer, packet, &mut self.out);
        }
        match done {
            Ok(()) => Ok(Some(&self.out)),
            // A copy that was sent already, when copies began to go later.
            Err(NotSealed::Repeated) => Ok(None),
            Err(why) => Err(Error::new(ErrorKind::State, format!("{why}: start the stream anew"))),
        }
    }
}

impl Stream {
    fn new(key: &Key, ssrc: u32) -> Result<Self> {
        let nonce = random_nonce()?;
        Ok(Self { ssrc, nonce, sealer: Sealer::new(key, Way::ToServer, nonce, ssrc) })
    }
}

impl Refusal {
    /// What a packet that was not opened looks like.
    pub fn of(refused: Refused, packet: &[u8]) -> Self {
        match refused {
            Refused::Replayed | Refused::TooOld => Self::Replayed,
            Refused::Plain => Self::NotSealed,
            Refused::Short | Refused::Source | Refused::Nonce | Refused::Tag if looks_plain(packet) => {
                Self::NotSealed
            }
            Refused::Short | Refused::Source | Refused::Nonce | Refused::Tag => Self::WrongKey,
        }
    }
}

/// From the system: nobody can guess it, nor does it come twice.
pub fn random_nonce() -> Result<Nonce> {
    let mut bytes = [0; Nonce::LEN];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::State, format!("no randomness for the key: {error}")))?;
    Ok(Nonce(bytes))
}

/// Whether a packet that is not authentic looks as if it never was sealed: encrypted bytes are all equally frequent. For the log.
pub fn looks_plain(packet: &[u8]) -> bool {
    let Some(payload) = packet.get(12..).filter(|payload| !payload.is_empty()) else { return true };
    let mut counts = [0_usize; 256];
    for byte in payload {
        counts[usize::from(*byte)] += 1;
    }
    counts.iter().any(|count| *count > 8 + payload.len() / 32)
}

/// The stream and its copies.
const MOST_STREAMS: usize = 8;
/// Openers kept of those that answer: a server that starts anew is another; in a group, so are its members.
const MOST_ANSWERING: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wire::rtcp::write_receiver_report;
    use crate::engine::wire::rtp::RtpHeader;

    const KEYS: [&str; 3] = [
        "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
    ];

    fn sealing(text: &str) -> Sealing {
        Sealing::new(Key::parse(text).unwrap(), 7).unwrap()
    }

    fn report(ssrc: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_receiver_report(ssrc, &[], &mut bytes);
        bytes
    }

    #[test]
    fn no_packet_goes_twice() {
        for text in KEYS {
            let mut sealing = sealing(text);
            let mut packet = Vec::new();
            RtpHeader { sequence: 5, ssrc: 7, ..RtpHeader::default() }.write(&mut packet);
            assert!(sealing.sound(&packet, false).unwrap().is_some());
            assert!(sealing.sound(&packet, false).unwrap().is_none());
            packet[8..12].copy_from_slice(&(!7u32).to_be_bytes());
            assert!(sealing.sound(&packet, true).unwrap().is_some());
        }
    }

    #[test]
    fn our_own_reports_are_no_answers() {
        for text in KEYS {
            let mut sealing = sealing(text);
            let own = sealing.report(&report(7)).unwrap().unwrap().to_vec();
            assert_eq!(sealing.open(&own), Err(Refusal::Replayed));
            assert_eq!(sealing.open(&report(8)), Err(Refusal::NotSealed));
        }
    }

    #[test]
    fn answers_are_for_one_client_and_openers_few() {
        for text in KEYS {
            let key = Key::parse(text).unwrap();
            let (mut ours, mut out) = (sealing(text), Vec::new());
            let way = Way::ToClient(ours.streams[0].nonce);
            for ssrc in 100..200 {
                let nonce = Nonce([ssrc as u8; Nonce::LEN]);
                Sealer::new(&key, way, nonce, ssrc).seal_rtcp(&report(ssrc), &mut out).unwrap();
                assert_eq!(ours.open(&out).unwrap(), report(ssrc));
                assert_eq!(ours.open(&out), Err(Refusal::Replayed));
                assert!(ours.answers.len() <= MOST_ANSWERING);
                // With a key of our own it is for nobody else.
                assert_eq!(sealing(text).open(&out).is_ok(), key.form() != KeyForm::Audiostream);
            }
        }
    }
}
