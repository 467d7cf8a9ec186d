//! Sources' packets sent on, as they came, to other receivers.
//!
//! Guaranteed: the bytes are those that came, sealed ones still sealed; what waits is bounded, and sent within the turn of
//! the network thread in which it came; no receiver that is slow or gone holds up another, or us. What the system does not
//! take at once is dropped, and counted.
//!
//! All that waits goes to a receiver with one call (`sendmmsg`). Segmentation offload (UDP GSO) would need packets of one length for
//! one receiver by the dozen: a turn brings one or two of a source, for which it has nothing to save.

use super::packets::Packets;
use crate::engine::config::{Path, Protocol};
use crate::engine::error::{Error, Result};
use crate::engine::net::failure::Obstacle;
use crate::engine::net::udp::{Sent, UdpSender};
use crate::engine::stats::Forwarded;
use crate::engine::stream::repeat::Outgoing;
use crate::engine::url::RtpUrl;

/// Sends on to all receivers.
pub struct Forwarding {
    receivers: Vec<UdpSender>,
    packets: Packets,
    waiting: usize,
    counts: Forwarded,
    told: bool,
}

/// Reads `HOST:PORT`, or the `rtp://` URL of it.
pub fn parse(text: &str) -> Result<Path> {
    let wrong = || Error::config(format!("forward: expected HOST:PORT, as in 192.0.2.7:5004, not {text:?}"));
    let url = if text.contains("://") { text.to_owned() } else { format!("rtp://{text}") };
    let url = RtpUrl::find(&url)?.ok_or_else(wrong)?;
    let (Some(host), Some(port @ 1..)) = (url.host, url.port) else { return Err(wrong()) };
    let default = Path::default();
    Ok(Path {
        protocol: Protocol::Udp,
        host,
        port,
        local_port: url.local_port.unwrap_or(default.local_port),
        ttl: url.ttl.unwrap_or(default.ttl),
        ..default
    })
}

impl Forwarding {
    /// To these receivers; their names are looked up now.
    pub fn connect(paths: &[Path]) -> Result<Self> {
        let receivers = paths.iter().map(UdpSender::connect).collect::<Result<_>>()?;
        let counts = Forwarded::default();
        Ok(Self { receivers, packets: Packets::default(), waiting: 0, counts, told: false })
    }

    /// Takes a packet as it came.
    pub fn take(&mut self, bytes: &[u8]) {
        self.packets.add(Outgoing { bytes, copies: 0, is_copy: false });
        self.waiting += 1;
        if self.waiting == MOST_WAITING {
            self.flush();
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let packets: Vec<&[u8]> = self.packets.iter().map(|outgoing| outgoing.bytes).collect();
        for receiver in &mut self.receivers {
            let mut left = &packets[..];
            while !left.is_empty() {
                let (sent, next) = receiver.send_many(left).unwrap_or_else(|error| {
                    if !std::mem::replace(&mut self.told, true) {
                        log::error!(target: TARGET, "forwarding to {} failed: {error}", receiver.peer());
                    }
                    (0, Sent::Dropped(Obstacle::NoWay))
                });
                self.counts.packets += sent as u64;
                left = &left[sent..];
                match next {
                    Sent::Sent => {}
                    // One that was thought to have gone.
                    Sent::Refused => {
                        self.counts.packets = self.counts.packets.saturating_sub(1);
                        self.counts.dropped += 1;
                    }
                    Sent::Dropped(_) => {
                        self.counts.dropped += 1;
                        left = left.get(1..).unwrap_or_default();
                    }
                }
            }
        }
        self.packets.clear();
        self.waiting = 0;
    }

    /// What was sent on so far, and what was not.
    pub fn counts(&self) -> Forwarded {
        self.counts
    }
}

const TARGET: &str = "audiostream.server";
/// Packets that wait at most before they are sent.
const MOST_WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_receiver_is_a_host_with_its_port() {
        let path = parse("192.0.2.7:5004").unwrap();
        assert_eq!((path.host.as_str(), path.port), ("192.0.2.7", 5004));
        assert_eq!(parse("rtp://[2001:db8::7]:9?ttl=3").unwrap().ttl, 3);
        for wrong in ["", "studio", "studio:", "studio:0", ":5004", "http://studio:5004", "studio:70000"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_receiver_gets_every_packet_and_one_that_is_gone_keeps_nothing_from_the_others() {
        let ears = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let ports = [ears[0].local_addr().unwrap(), gone, ears[1].local_addr().unwrap()];
        let paths: Vec<Path> = ports.iter().map(|to| parse(&to.to_string()).unwrap()).collect();
        let mut forwarding = Forwarding::connect(&paths).unwrap();
        let packet = |n: usize| vec![n as u8; 1 + n % 200];
        for n in 0..150 {
            forwarding.take(&packet(n));
            if n % 40 == 0 {
                forwarding.flush();
            }
        }
        forwarding.flush();
        let mut bytes = [0; 300];
        for ear in ears {
            ear.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            for n in 0..150 {
                let length = ear.recv(&mut bytes).unwrap();
                assert_eq!(bytes[..length], packet(n)[..]);
            }
        }
        let Forwarded { packets, dropped } = forwarding.counts();
        assert_eq!(packets + dropped, 450);
        assert!(packets >= 300);
    }
}
