//! Datagrams: one socket that hears everybody, one that speaks to one peer.

mod batch;
mod ear;
mod receiver;
mod sender;

pub use ear::Datagram;
pub use receiver::UdpReceiver;
pub use sender::{Sent, UdpSender};
