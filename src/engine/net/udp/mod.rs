//! Datagrams: one socket that hears everybody, one that speaks to one peer.

mod batch;
mod ear;
mod junction;
mod lately;
mod receiver;
mod sender;

pub use ear::Datagram;
pub use junction::{Circle, Junction, JunctionCounts};
pub use receiver::UdpReceiver;
pub use sender::{Sent, UdpSender};
