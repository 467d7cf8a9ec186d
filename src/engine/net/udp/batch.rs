//! Datagrams that wait, taken with as few system calls as there are: recvmmsg(2) on Linux, one at a time elsewhere.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use crate::engine::net::ancillary::Ancillary;

pub use imp::Batch;

/// One of a batch.
#[derive(Debug)]
pub struct Letter<'a> {
    /// Who sent it, if that was by IP.
    pub from: Option<SocketAddr>,
    /// What it carries.
    pub bytes: &'a [u8],
    /// What the kernel says of it.
    pub said: Ancillary,
    /// Whether its end was cut off.
    pub truncated: bool,
}

#[cfg(target_os = "linux")]
mod imp {
    #![allow(unsafe_code, reason = "recvmmsg, which neither std nor socket2 offers")]

    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::os::fd::AsRawFd;

    use super::{Letter, Socket, SocketAddr, io};
    use crate::engine::net::{address, ancillary};

    /// Room for datagrams. Pages that none has needed take no memory.
    pub struct Batch {
        bytes: Box<[u8]>,
        longest: usize,
        controls: Box<[Control]>,
        names: Box<[libc::sockaddr_in6]>,
        vectors: Box<[libc::iovec]>,
        headers: Box<[libc::mmsghdr]>,
    }

    /// What is said of one, as aligned as it has to be.
    #[derive(Clone, Copy)]
    #[repr(C, align(8))]
    struct Control([u8; CONTROL]);

    // SAFETY: its pointers lead into its own boxes, which move with it and are reached by nobody else.
    unsafe impl Send for Batch {}

    impl std::fmt::Debug for Batch {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Batch").field("longest", &self.longest).finish_non_exhaustive()
        }
    }

    impl Batch {
        /// For at most `most` datagrams of at most `longest` bytes at a time.
        pub fn new(longest: usize, most: usize) -> Self {
            // SAFETY: all zero is a value of these plain C structs: nobody, nowhere, no message.
            let (name, vector, header): (libc::sockaddr_in6, libc::iovec, libc::mmsghdr) =
                unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
            Self {
                bytes: vec![0; most * stride(longest)].into(),
                longest,
                controls: vec![Control([0; CONTROL]); most].into(),
                names: vec![name; most].into(),
                vectors: vec![vector; most].into(),
                headers: vec![header; most].into(),
            }
        }

        /// Takes what waits, at most `most`; how many there are. Those before are gone.
        pub fn receive(&mut self, socket: &Socket, most: usize) -> io::Result<usize> {
            let Self { bytes, longest, controls, names, vectors, headers } = self;
            let places = bytes.chunks_exact_mut(stride(*longest)).zip(controls).zip(names).zip(vectors);
            let mut count = 0;
            for ((((bytes, control), name), vector), header) in places.zip(headers.iter_mut()).take(most) {
                *vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: *longest };
                let header = &mut header.msg_hdr;
                header.msg_name = (&raw mut *name).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                header.msg_iov = vector;
                header.msg_iovlen = 1;
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL as _;
                header.msg_flags = 0;
                count += 1;
            }
            // SAFETY: `count` headers, whose pointers and lengths were just set to places of our own that outlive the call.
            let got = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    count,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            usize::try_from(got).map_err(|_| io::Error::last_os_error())
        }

        /// Sender and bytes of the datagram at `place` of those received last.
        pub fn peek(&self, place: usize) -> Option<(SocketAddr, &[u8])> {
            let length = self.headers.get(place)?.msg_hdr.msg_namelen as usize;
            Some((sender(&self.names[place], length)?, self.bytes(place)))
        }

        fn bytes(&self, place: usize) -> &[u8] {
            let from = place * stride(self.longest);
            &self.bytes[from..from + (self.headers[place].msg_len as usize).min(self.longest)]
        }

        /// The datagram at `place` of those received last.
        pub fn letter(&self, place: usize) -> Letter<'_> {
            let header = &self.headers[place];
            let control = &self.controls[place].0[..header.msg_hdr.msg_controllen.min(CONTROL)];
            Letter {
                from: sender(&self.names[place], header.msg_hdr.msg_namelen as usize),
                bytes: self.bytes(place),
                said: ancillary::read(control),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            }
        }
    }

    /// Who that is; room is for either family, the shorter one's parts lie where the longer one's begin.
    fn sender(name: &libc::sockaddr_in6, length: usize) -> Option<SocketAddr> {
        let port = u16::from_be(name.sin6_port);
        match i32::from(name.sin6_family) {
            // Its address comes where the other has its flow label.
            libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
                Some((Ipv4Addr::from(name.sin6_flowinfo.to_ne_bytes()), port).into())
            }
            libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                address::shown(&std::net::SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// From one datagram's place to the next: not a power of two, or else all of them would meet in the same part of the
    /// processor's cache.
    const fn stride(longest: usize) -> usize {
        longest.next_multiple_of(64) + 17 * 64
    }

    /// Room for the control messages that are asked for, and then some.
    const CONTROL: usize = 256;
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use socket2::MaybeUninitSlice;

    use super::{Ancillary, Letter, Socket, SocketAddr, io};
    use crate::engine::net::address;
    use crate::engine::net::sys::Buffer;

    /// Room for a datagram.
    #[derive(Debug)]
    pub struct Batch {
        buffer: Buffer,
        last: (Option<SocketAddr>, usize, bool),
    }

    impl Batch {
        /// For datagrams of at most `longest` bytes.
        pub fn new(longest: usize, _most: usize) -> Self {
            Self { buffer: Buffer::new(longest), last: (None, 0, false) }
        }

        /// Takes one that waits.
        pub fn receive(&mut self, socket: &Socket, most: usize) -> io::Result<usize> {
            if most == 0 {
                return Ok(0);
            }
            let mut slices = [MaybeUninitSlice::new(self.buffer.spare())];
            let (bytes, flags, from) = socket.recv_from_vectored(&mut slices)?;
            self.last = (address::shown(&from), bytes, flags.is_truncated());
            Ok(1)
        }

        /// There is one at a time.
        pub fn peek(&self, _place: usize) -> Option<(SocketAddr, &[u8])> {
            None
        }

        /// The datagram received last.
        pub fn letter(&self, _place: usize) -> Letter<'_> {
            let (from, bytes, truncated) = self.last;
            Letter { from, bytes: self.buffer.filled(bytes), said: Ancillary::default(), truncated }
        }
    }
}
