//! Hearing datagrams on a socket, with the time of their coming.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{MaybeUninitSlice, Socket};

use crate::engine::net::address;
#[cfg(target_os = "linux")]
use crate::engine::net::ancillary;
use crate::engine::net::ancillary::Ancillary;
use crate::engine::net::stamps::Stamps;
use crate::engine::net::sys::{self, Buffer};
use crate::engine::time::{Clock, Micros};

/// One datagram as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it; IPv4 is shown as IPv4 on a socket for both.
    pub address: SocketAddr,
    /// When the kernel received it; when it was read, where the kernel does not say, as in the first milliseconds
    /// after the first such socket on a machine was made.
    pub arrival: Micros,
    /// What it carries.
    pub bytes: &'a [u8],
    /// Whether its end was cut off for want of room; never for what UDP over IP can carry.
    pub truncated: bool,
    /// Which address of ours it was sent to, where the kernel says.
    pub local: Option<IpAddr>,
    /// Whether it came to the port beside ours.
    pub beside: bool,
}

/// What it takes to hear on one socket.
#[derive(Debug)]
pub struct Ear {
    clock: Clock,
    stamps: Stamps,
    buffer: Buffer,
    #[cfg(target_os = "linux")]
    control: Buffer,
}

impl Ear {
    /// For datagrams of at most `longest` bytes.
    pub fn new(clock: Clock, longest: usize) -> Self {
        Self {
            clock,
            stamps: Stamps::new(clock),
            buffer: Buffer::new(longest),
            #[cfg(target_os = "linux")]
            control: Buffer::new(CONTROL),
        }
    }

    /// Has the kernel say when datagrams come.
    pub fn prepare(socket: &Socket) {
        if let Err(e) = sys::ask_for_receive_times(socket) {
            log::debug!("no receive times from the kernel, ours stand in: {e}");
        }
    }

    /// Hands over what is there, at most `most`; how many there were, and the error that ended it.
    pub fn hear(
        &mut self,
        socket: &Socket,
        most: usize,
        beside: bool,
        handle: &mut dyn FnMut(Datagram<'_>),
    ) -> (usize, Option<io::Error>) {
        self.stamps.check();
        for count in 0..most {
            let before = self.clock.now();
            match self.read(socket) {
                Ok((address, bytes, said, truncated)) => {
                    let now = self.clock.now();
                    let arrival = said.stamp.map_or(now, |wall| self.stamps.arrival(wall, now));
                    let bytes = self.buffer.filled(bytes);
                    // Only IP can come; anything else is nobody's.
                    if let Some(address) = address {
                        handle(Datagram { address, arrival, bytes, truncated, local: said.local, beside });
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stamps.none_waits(before);
                    return (count, None);
                }
                Err(e) => return (count, Some(e)),
            }
        }
        (most, None)
    }

    /// Sender, length, what the kernel says, truncation.
    #[cfg(target_os = "linux")]
    fn read(&mut self, socket: &Socket) -> io::Result<(Option<SocketAddr>, usize, Ancillary, bool)> {
        // Long enough for either family.
        let mut from = socket2::SockAddr::from(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)));
        let mut slices = [MaybeUninitSlice::new(self.buffer.spare())];
        let mut message = socket2::MsgHdrMut::new()
            .with_addr(&mut from)
            .with_buffers(&mut slices)
            .with_control(self.control.spare());
        let bytes = socket.recvmsg(&mut message, 0)?;
        let truncated = message.flags().is_truncated();
        let control = message.control_len();
        let said = ancillary::read(self.control.filled(control));
        Ok((address::shown(&from), bytes, said, truncated))
    }

    /// Sender, length, what the kernel says (nothing here), truncation.
    #[cfg(not(target_os = "linux"))]
    fn read(&mut self, socket: &Socket) -> io::Result<(Option<SocketAddr>, usize, Ancillary, bool)> {
        let mut slices = [MaybeUninitSlice::new(self.buffer.spare())];
        let (bytes, flags, from) = socket.recv_from_vectored(&mut slices)?;
        Ok((address::shown(&from), bytes, Ancillary::default(), flags.is_truncated()))
    }
}

/// Room for the control messages that are asked for, and then some.
#[cfg(target_os = "linux")]
const CONTROL: usize = 256;
