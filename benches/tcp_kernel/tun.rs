//! Network namespaces and TUN devices: the kernel's own network, of which we are the wire.
#![allow(unsafe_code, reason = "system calls without a safe wrapper; each says why it is sound")]

use std::fs::{File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// Makes this program root of a new user namespace where it is not root: before it has other threads.
pub fn become_root() -> io::Result<()> {
    // SAFETY: only asks.
    if unsafe { libc::geteuid() } == 0 { Ok(()) } else { unshare(libc::CLONE_NEWUSER) }
}

/// Moves this thread into a new, empty network namespace.
pub fn new_namespace() -> io::Result<()> {
    unshare(libc::CLONE_NEWNET)
}

/// A TUN device in this thread's namespace, up, with an address, whose network is the other end.
pub fn device(name: &str, address: Ipv4Addr, other: Ipv4Addr) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let mut request = named(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    control(file.as_raw_fd(), libc::TUNSETIFF, &mut request)?;

    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let socket = socket.as_raw_fd();
    request.ifr_ifru.ifru_addr = socket_address(address);
    control(socket, SIOCSIFADDR, &mut request)?;
    request.ifr_ifru.ifru_addr = socket_address(other);
    control(socket, SIOCSIFDSTADDR, &mut request)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    control(socket, SIOCSIFFLAGS, &mut request)?;
    Ok(file)
}

fn unshare(what: i32) -> io::Result<()> {
    // SAFETY: takes no pointers; only the calling thread moves.
    match unsafe { libc::unshare(what) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn named(name: &str) -> libc::ifreq {
    // SAFETY: all of its fields are plain numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from as libc::c_char;
    }
    request
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

fn control(fd: i32, what: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: all of these calls take an `ifreq`, which lives for the call.
    match unsafe { libc::ioctl(fd, what, std::ptr::from_mut(request)) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const SIOCSIFADDR: libc::Ioctl = 0x8916;
const SIOCSIFDSTADDR: libc::Ioctl = 0x8918;
const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
