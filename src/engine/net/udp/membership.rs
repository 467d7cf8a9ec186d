//! A socket's membership of a multicast group on the network interfaces that there are.
//!
//! Guaranteed: an interface that is made anew, or comes later, is joined within [`BETWEEN_LOOKS`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{InterfaceIndexOrAddress, Socket};

use crate::engine::error::Result;
use crate::engine::net::failure;
use crate::engine::net::interface::{Interface, no_way};
use crate::engine::net::wait::Deadline;

/// A membership.
#[derive(Debug)]
pub struct Membership {
    group: SocketAddr,
    /// The interface that was asked for; all that can carry groups without.
    told: Option<String>,
    /// The indices of those that are joined.
    joined: Vec<u32>,
    next_look: Deadline,
}

impl Membership {
    /// Joins the group; where no interface can, the error says what to do.
    pub fn join(socket: &Socket, group: SocketAddr, told: Option<&str>) -> Result<Self> {
        #[cfg(target_os = "linux")]
        let _ = match group {
            // Not what other programs have joined elsewhere.
            SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
            SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
        };
        let mut membership = Self {
            group,
            told: told.map(str::to_owned),
            joined: Vec::new(),
            next_look: Deadline::after(BETWEEN_LOOKS),
        };
        let wanted = membership.wanted()?;
        let failed = membership.join_all(socket, &wanted);
        if membership.joined.is_empty() {
            let plain = |e| failure::plain(format!("the group {} cannot be joined", group.ip()), &e);
            return Err(failed.map_or_else(|| no_way(group.ip()), plain));
        }
        Ok(membership)
    }

    /// Joins another socket, too, as it is now.
    pub fn join_beside(&self, socket: &Socket) {
        for &index in &self.joined {
            let _ = join(socket, &self.group, index);
        }
    }

    /// Now and then, joins on what has come since and forgets what has gone. Never blocks.
    pub fn look(&mut self, socket: &Socket) {
        if !self.next_look.is_over() {
            return;
        }
        self.next_look = Deadline::after(BETWEEN_LOOKS);
        let wanted = self.wanted().unwrap_or_default();
        self.joined.retain(|&index| {
            let stays = wanted.contains(&index);
            if !stays {
                let _ = leave(socket, &self.group, index);
            }
            stays
        });
        let before = self.joined.len();
        self.join_all(socket, &wanted);
        for index in &self.joined[before..] {
            log::info!(target: TARGET, "joined {} on the interface with index {index}", self.group.ip());
        }
    }

    /// Joins where that has not been done; the last error.
    fn join_all(&mut self, socket: &Socket, wanted: &[u32]) -> Option<io::Error> {
        let mut last = None;
        for &index in wanted {
            if !self.joined.contains(&index) {
                match join(socket, &self.group, index) {
                    Ok(()) => self.joined.push(index),
                    Err(e) => last = Some(e),
                }
            }
        }
        last
    }

    fn wanted(&self) -> Result<Vec<u32>> {
        Ok(match (&self.told, self.group) {
            (Some(told), _) => vec![Interface::find(told)?.index],
            (None, SocketAddr::V6(v6)) if v6.scope_id() != 0 => vec![v6.scope_id()],
            // Zero lets the system choose, where interfaces are not listed.
            _ if cfg!(not(unix)) => vec![0],
            _ => Interface::for_groups().iter().map(|one| one.index).collect(),
        })
    }
}

fn join(socket: &Socket, group: &SocketAddr, index: u32) -> io::Result<()> {
    match group {
        SocketAddr::V4(v4) => socket.join_multicast_v4_n(v4.ip(), &InterfaceIndexOrAddress::Index(index)),
        SocketAddr::V6(v6) => socket.join_multicast_v6(v6.ip(), index),
    }
}

fn leave(socket: &Socket, group: &SocketAddr, index: u32) -> io::Result<()> {
    match group {
        SocketAddr::V4(v4) => socket.leave_multicast_v4_n(v4.ip(), &InterfaceIndexOrAddress::Index(index)),
        SocketAddr::V6(v6) => socket.leave_multicast_v6(v6.ip(), index),
    }
}

const TARGET: &str = "audiostream.network";
/// Looking takes some microseconds.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
