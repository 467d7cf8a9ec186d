//! The few system calls that neither std nor socket2 offers, each with its fallback.

#![allow(unsafe_code, reason = "thin wrappers of system calls, each with its argument for safety")]

#[cfg(not(target_os = "linux"))]
use std::mem::MaybeUninit;

use socket2::Socket;

/// A receive buffer whose every byte is initialised, in the type that socket2's `recvmsg` wants.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Buffer(Box<[MaybeUninit<u8>]>);

#[cfg(not(target_os = "linux"))]
impl Buffer {
    pub fn new(bytes: usize) -> Self {
        Self(vec![MaybeUninit::new(0); bytes].into_boxed_slice())
    }

    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.0
    }

    /// The first `count` bytes, or all of them if there are fewer.
    pub fn filled(&self, count: usize) -> &[u8] {
        let count = count.min(self.0.len());
        // SAFETY: `new` wrote every byte, `spare` is private to this room and only given to the kernel, which
        // writes bytes; nothing here ever takes one back. `count` is within the box.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), count) }
    }
}

/// poll(2), its timeout kept to the nanosecond.
#[cfg(target_os = "linux")]
pub fn poll(entries: &mut [libc::pollfd], timeout: std::time::Duration) -> std::io::Result<()> {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // SAFETY: pointer and length are those of one exclusive slice of pollfd; the timeout lives for the call; no signal mask is given.
    let n = unsafe {
        libc::ppoll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, &raw const timeout, std::ptr::null())
    };
    if n < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// poll(2), its timeout rounded up to a millisecond.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn poll(entries: &mut [libc::pollfd], timeout: std::time::Duration) -> std::io::Result<()> {
    let ms = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: pointer and length are those of one exclusive slice of pollfd.
    let n = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, ms) };
    if n < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Hands datagrams to a connected socket with one call; how many were taken, from the first on: at least one, or an error.
#[cfg(target_os = "linux")]
pub fn send_many(socket: &Socket, datagrams: &[&[u8]]) -> std::io::Result<usize> {
    use std::os::fd::AsRawFd;
    let mut pieces: Vec<libc::iovec> = datagrams
        .iter()
        .map(|bytes| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = pieces
        .iter_mut()
        .map(|piece| {
            // SAFETY: all-zero is a message without address, pieces and control data.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let count = messages.len() as libc::c_uint;
    // SAFETY: each message points to one piece, each piece to one datagram; all of them outlive the call, which reads them only.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| std::io::Error::last_os_error())
}

/// One by one here.
#[cfg(not(target_os = "linux"))]
pub fn send_many(socket: &Socket, datagrams: &[&[u8]]) -> std::io::Result<usize> {
    datagrams.first().map_or(Ok(0), |bytes| socket.send(bytes).map(|_| 1))
}

/// Has the kernel keep what routers say of datagrams, for [`next_failed`].
#[cfg(target_os = "linux")]
pub fn keep_errors(socket: &Socket, is_v6: bool) -> std::io::Result<()> {
    if is_v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
    }
}

/// Nothing is kept here.
#[cfg(not(target_os = "linux"))]
pub fn keep_errors(_socket: &Socket, _is_v6: bool) -> std::io::Result<()> {
    Ok(())
}

/// The next of the errors kept, its number and as much of the failed datagram's beginning as was sent back (RFC 792, RFC 4443);
/// `None` when there is no more.
#[cfg(target_os = "linux")]
pub fn next_failed(socket: &Socket, bytes: &mut [u8]) -> Option<(i32, usize)> {
    use std::os::fd::AsRawFd;
    /// As aligned as control messages have to be.
    #[repr(align(8))]
    struct Control([u8; 256]);
    let mut control = Control([0; 256]);
    let mut piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a message without address, pieces and control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the message points to places of ours that outlive the call, with their true lengths.
    let got = unsafe {
        libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)
    };
    let got = usize::try_from(got).ok()?;
    // SAFETY: the kernel has filled the control data as its length says; each header is one of it, and what follows the header is
    // read as far as the header says.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(head) = header.as_ref() {
            let is_error = matches!(
                (head.cmsg_level, head.cmsg_type),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            );
            if is_error && head.cmsg_len >= (size_of::<libc::cmsghdr>() + 4) as _ {
                // `ee_errno` is the first field of `sock_extended_err`.
                let errno = libc::CMSG_DATA(header).cast::<u32>().read_unaligned();
                return Some((errno as i32, got.min(bytes.len())));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Some((0, 0))
}

/// Nothing is kept here.
#[cfg(not(target_os = "linux"))]
pub fn next_failed(_socket: &Socket, _bytes: &mut [u8]) -> Option<(i32, usize)> {
    None
}

/// Bytes of an IP packet that the way to a connected socket's peer takes, as far as the kernel knows.
#[cfg(target_os = "linux")]
pub fn path_mtu(socket: &Socket, is_v6: bool) -> Option<usize> {
    use std::os::fd::AsRawFd;
    let (level, name) =
        if is_v6 { (libc::IPPROTO_IPV6, libc::IPV6_MTU) } else { (libc::IPPROTO_IP, libc::IP_MTU) };
    let mut mtu: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is one int, and the length says so.
    let rc =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut mtu).cast(), &raw mut length) };
    if rc == 0 { usize::try_from(mtu).ok() } else { None }
}

/// Not told here.
#[cfg(not(target_os = "linux"))]
pub fn path_mtu(_socket: &Socket, _is_v6: bool) -> Option<usize> {
    None
}

/// Asks for the kernel's receive time (`CLOCK_REALTIME`) with every datagram.
#[cfg(target_os = "linux")]
pub fn ask_for_receive_times(socket: &Socket) -> std::io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Receive times are not asked for here.
#[cfg(not(target_os = "linux"))]
pub fn ask_for_receive_times(_socket: &Socket) -> std::io::Result<()> {
    Ok(())
}

/// Asks with every datagram for the address of ours that it was sent to.
#[cfg(target_os = "linux")]
pub fn ask_for_local_addresses(socket: &Socket, is_v6: bool) -> std::io::Result<()> {
    if is_v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Our own addresses are not asked for here.
#[cfg(not(target_os = "linux"))]
pub fn ask_for_local_addresses(_socket: &Socket, _is_v6: bool) -> std::io::Result<()> {
    Ok(())
}

/// Makes the receive buffer `bytes` large, over the system's limit: needs `CAP_NET_ADMIN`.
#[cfg(target_os = "linux")]
pub fn force_receive_buffer(socket: &Socket, bytes: usize) -> std::io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, i32::try_from(bytes).unwrap_or(i32::MAX))
}

/// Nothing can be forced here.
#[cfg(not(target_os = "linux"))]
pub fn force_receive_buffer(_socket: &Socket, _bytes: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// How many datagrams the kernel has dropped at this socket: the counter that `SO_RXQ_OVFL` sends along with the next
/// datagram, asked for directly, so that drops after the last one are seen too. It wraps at 2^32.
#[cfg(target_os = "linux")]
pub fn dropped_datagrams(socket: &Socket) -> Option<u32> {
    use std::os::fd::AsRawFd;
    const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
    let mut figures = [0_u32; 16];
    let mut bytes = size_of_val(&figures) as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes into `figures` and says in `bytes` how many it wrote.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    (rc == 0 && bytes as usize > DROPS * 4).then(|| figures[DROPS])
}

/// Drops are not told here.
#[cfg(not(target_os = "linux"))]
pub fn dropped_datagrams(_socket: &Socket) -> Option<u32> {
    None
}

/// Bytes of a TCP stream that the peer's kernel has not acknowledged.
#[cfg(target_os = "linux")]
pub fn unacknowledged(socket: &Socket) -> Option<usize> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    // SAFETY: this request (SIOCOUTQ, tcp(7)) writes one int.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if rc == 0 { usize::try_from(bytes).ok() } else { None }
}

/// Not told here.
#[cfg(not(target_os = "linux"))]
pub fn unacknowledged(_socket: &Socket) -> Option<usize> {
    None
}

#[cfg(target_os = "linux")]
fn set_option(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the option's value is one int, which lives for the call.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// `send` without SIGPIPE; where this is zero, socket2 has set the socket so.
#[cfg(target_os = "linux")]
pub const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
pub const NO_SIGNAL: i32 = 0;

/// The system's own "timed out".
pub fn timed_out() -> std::io::Error {
    #[cfg(unix)]
    return std::io::Error::from_raw_os_error(libc::ETIMEDOUT);
    #[cfg(not(unix))]
    return std::io::ErrorKind::TimedOut.into();
}

/// Linux numbers the loopback interface so; elsewhere it is only a last try.
pub const LOOPBACK_INTERFACE: u32 = 1;
