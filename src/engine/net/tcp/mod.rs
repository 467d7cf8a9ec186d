//! Byte streams: one thread that hears many connections, one connection that speaks.

mod attempt;
mod receiver;
mod sender;
mod vigil;

pub use receiver::{ConnectionId, TcpEvent, TcpReceiver};
pub use sender::{SendOutcome, TcpSender};
