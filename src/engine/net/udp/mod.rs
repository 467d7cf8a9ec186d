//! Datagrams: one socket that hears everybody, one that speaks to one peer.

mod receiver;
mod sender;

pub use receiver::{Datagram, UdpReceiver};
pub use sender::{Sent, UdpSender};
