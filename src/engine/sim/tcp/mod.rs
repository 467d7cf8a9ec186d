//! TCP over the seeded bad network, in virtual time: what sound meets that is sent over TCP.
//!
//! Guaranteed: every byte written arrives once and in order; the same configuration and the same writes give the same
//! segments at the same microseconds on every machine. It is a model of Linux' TCP, held against it (docs/lab-tcp.md),
//! not a stack: one connection, already made, data in one direction and acknowledgements in the other, both over the
//! [`Link`](super::link::Link). No clock, no chance of its own.

mod board;
mod cubic;
mod path;
mod rack;
mod receiver;
mod rtt;
mod segment;
mod sender;
mod window;

pub use path::{OnWire, TcpPath};
pub use segment::{Sacks, Segment};

/// How the congestion window moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 5681, with RFC 6675's selective acknowledgements.
    Reno,
    /// RFC 9438, Linux' default.
    #[default]
    Cubic,
}

/// A connection's settings. The default is Linux' on an Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// Congestion control.
    pub algorithm: Algorithm,
    /// The most payload of a segment, bytes.
    pub mss: usize,
    /// Bytes written and not acknowledged that are kept at most; a write beyond is refused.
    pub send_buffer: usize,
    /// Writes are refused while so many bytes wait to be sent for the first time (`TCP_NOTSENT_LOWAT`).
    pub unsent_limit: Option<usize>,
    /// Short segments go at once (`TCP_NODELAY`), and not only when all before is acknowledged.
    pub nodelay: bool,
    /// Bytes the receiver lets be under way.
    pub receive_window: usize,
}

/// What a connection did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounts {
    /// Bytes taken from the program.
    pub written: u64,
    /// Bytes a write was refused.
    pub refused: u64,
    /// Bytes acknowledged.
    pub acknowledged: u64,
    /// Bytes delivered to the program at the other end.
    pub delivered: u64,
    /// Segments sent, retransmissions among them.
    pub segments: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Timeouts.
    pub timeouts: u64,
    /// Timeouts that proved needless.
    pub spurious_timeouts: u64,
    /// Times a loss was found without a timeout.
    pub recoveries: u64,
    /// Reductions of the window that proved needless and were taken back.
    pub undone: u64,
    /// Tail loss probes.
    pub probes: u64,
    /// Times segments were seen to overtake others.
    pub reorderings: u64,
    /// Acknowledgements sent.
    pub acknowledgements: u64,
    /// Segments that brought the receiver nothing new.
    pub duplicates: u64,
}

impl Algorithm {
    /// Its name, as Linux' `TCP_CONGESTION` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reno => "reno",
            Self::Cubic => "cubic",
        }
    }
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            // 1,500 less the headers of IPv4 and TCP with timestamps.
            mss: 1448,
            // Linux grows its own up to 4 MiB.
            send_buffer: 4 << 20,
            unsent_limit: None,
            nodelay: true,
            // Linux grows its own up to 6 MiB.
            receive_window: 6 << 20,
        }
    }
}

#[cfg(test)]
mod tests;
