//! What to say when the network refuses: one sentence that names the way out.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use crate::engine::config::Protocol;
use crate::engine::error::{Error, ErrorKind};

/// An error of the network that needs no advice.
pub fn plain(what: impl Display, error: &io::Error) -> Error {
    Error::io(ErrorKind::Transport, what, error)
}

/// Why a port could not be had. `option` is the name of what chose it: `--port` or `--local-port`.
pub fn bind(protocol: Protocol, address: &str, port: u16, option: &str, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let message = match error.kind() {
        Kind::AddrInUse => {
            let list = match protocol {
                Protocol::Udp => "ss -lunp",
                Protocol::Tcp => "ss -ltnp",
            };
            format!(
                "port {port} is already in use: stop the other program ({list} shows it) or choose another {option}"
            )
        }
        Kind::PermissionDenied => {
            format!("port {port} needs administrator rights: choose a {option} of 1024 or more")
        }
        Kind::AddrNotAvailable => {
            format!(
                "{address} is not an address of this machine: leave --bind out, or take one that `ip addr` shows"
            )
        }
        _ => return plain(format!("cannot listen on {address} port {port}"), error),
    };
    transport(message).with_errno(error)
}

/// Why a host could not be reached.
pub fn connect(protocol: Protocol, host: &str, address: SocketAddr, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let port = address.port();
    let name = protocol.name().to_uppercase();
    let message = match error.kind() {
        Kind::ConnectionRefused => format!(
            "nobody listens on {name} port {port} of {host} ({address}): start the server first, or check host and port"
        ),
        Kind::TimedOut => format!(
            "{host} ({address}) does not answer: check the address, and that no firewall stops {name} port {port}"
        ),
        Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown => {
            format!("there is no way to {host} ({address}): check the network connection and the address")
        }
        _ => return plain(format!("cannot connect to {host} ({address})"), error),
    };
    transport(message).with_errno(error)
}

/// Why a connection ended.
pub fn lost(peer: SocketAddr, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let message = match error.kind() {
        Kind::TimedOut => format!("{peer} does not answer any more: the connection is lost"),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
            format!("{peer} has closed the connection")
        }
        _ => return plain(format!("the connection to {peer} is lost"), error),
    };
    transport(message).with_errno(error)
}

/// An error of the network that is none of the system's.
pub fn transport(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Transport, message)
}
