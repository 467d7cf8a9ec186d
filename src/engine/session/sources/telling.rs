//! What is said of packets: in the log, and in the packet log.

use std::net::SocketAddr;

use super::{Name, Sources, TARGET};
use crate::engine::session::complaints::Budget;
use crate::engine::session::packet_log::{PacketLine, PacketLog};
use crate::engine::stream::receiver::{Receiver, Verdict};
use crate::engine::time::Micros;
use crate::engine::wire::{Malformed, rtp};

impl Sources {
    /// Where every packet is written down.
    pub fn set_packet_log(&mut self, log: PacketLog) {
        self.out.log = Some(log);
    }

    /// Bytes that are no packet.
    pub fn not_believed(&mut self, address: SocketAddr, arrival: Micros, bytes: &[u8]) {
        self.malformed += 1;
        self.log(address, arrival, None, bytes, "malformed");
        log::debug!(target: TARGET, "not a packet: {} bytes from {address}", bytes.len());
        self.hint(address.ip(), bytes, arrival);
    }

    /// Bytes that began as a packet and are none.
    pub(super) fn disbelieve(&mut self, name: &Name, arrival: Micros, bytes: &[u8], why: Malformed) {
        self.malformed += 1;
        self.log(name.address, arrival, None, bytes, "malformed");
        log::debug!(target: TARGET, "not a packet: {} bytes from {}: {why}", bytes.len(), name.address);
        self.hint(name.address.ip(), bytes, arrival);
    }

    /// A line of the packet log.
    pub(super) fn log(
        &mut self,
        source: SocketAddr,
        time: Micros,
        sequence: Option<u16>,
        bytes: &[u8],
        verdict: &'static str,
    ) {
        if let Some(log) = &mut self.out.log {
            let timestamp = rtp::parse(bytes).ok().map(|(header, _)| header.timestamp);
            log.write(PacketLine {
                time,
                outgoing: false,
                peer: source,
                sequence,
                timestamp,
                bytes: bytes.len(),
                verdict,
            });
        }
    }
}

/// The log lines of one packet.
pub fn tell(
    name: &Name,
    receiver: &Receiver,
    verdict: Verdict,
    bytes: usize,
    arrival: Micros,
    budget: &mut Budget,
) {
    if log::log_enabled!(target: TARGET, log::Level::Debug) {
        log::debug!(
            target: TARGET,
            "packet from {}: sequence {}, {bytes} bytes, {}",
            name.address,
            receiver.last_sequence(),
            verdict.name()
        );
    }
    if let Verdict::Gap { last, now, missing } = verdict
        && budget.may_tell(arrival)
    {
        log::warn!(target: TARGET, "packet out of sequence from {}: last {last}, now {now}, {missing} missing", name.address);
    }
    if verdict == Verdict::Restarted && budget.may_tell(arrival) {
        log::info!(target: TARGET, "{name} has started anew");
    }
    if receiver.received().is_multiple_of(100) && budget.may_tell(arrival) {
        let reception = receiver.reception();
        let rate = 100.0 * reception.lost as f64 / reception.expected.max(1) as f64;
        log::info!(
            target: TARGET,
            "statistics of {}: total {}, lost {}, loss rate {rate:.2} %",
            name.address,
            reception.received,
            reception.lost
        );
    }
}
