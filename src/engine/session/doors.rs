//! Who may keep a connection: so many in all, so many of one address, and only who soon says something and goes on.
//!
//! Guaranteed: connections that say nothing, or slowly, or nonsense, are few and short, and where there are too many of them they give
//! way to newcomers. One that has been heard never gives way to anybody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::complaints::Refusal;
use crate::engine::net::tcp::ConnectionId;
use crate::engine::networks::Place;
use crate::engine::time::Micros;

/// The connections that are open.
pub struct Doors {
    guests: HashMap<ConnectionId, Guest>,
    most: usize,
    had_company: bool,
}

struct Guest {
    address: SocketAddr,
    came: Micros,
    /// When a packet was believed last.
    heard: Option<Micros>,
}

/// Why a connection is ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// It has said nothing that was believed.
    Handshake,
    /// It has been silent for long.
    Idle,
}

impl Overdue {
    /// For the log.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Handshake => "it has sent no sound that could be heard",
            Self::Idle => "it has been silent for long",
        }
    }
}

impl Doors {
    /// For a server that hears so many sources at once.
    pub fn new(max_sources: usize) -> Self {
        Self {
            guests: HashMap::new(),
            most: (2 * max_sources + SPARE).min(MAX_CONNECTIONS),
            had_company: false,
        }
    }

    /// A connection from `address` was made: the one that has to go for it, if any, or why it may not stay.
    pub fn come(
        &mut self,
        id: ConnectionId,
        address: SocketAddr,
        now: Micros,
    ) -> Result<Option<ConnectionId>, Refusal> {
        let place = Place::from(address.ip());
        let there = self.guests.values().filter(|guest| Place::from(guest.address.ip()) == place).count();
        if !place.is_loopback() && there >= MOST_THERE {
            return Err(Refusal::TooManyThere);
        }
        let mut gone = None;
        if self.guests.len() >= self.most {
            let unheard = self.guests.iter().filter(|(_, guest)| guest.heard.is_none());
            let oldest = unheard.min_by_key(|(id, guest)| (guest.came, **id)).map(|(id, _)| *id);
            gone = Some(oldest.ok_or(Refusal::TooManyConnections)?);
        }
        if let Some(id) = gone {
            self.leave(id);
        }
        self.guests.insert(id, Guest { address, came: now, heard: None });
        Ok(gone)
    }

    /// A packet of it was believed.
    pub fn hear(&mut self, id: ConnectionId, now: Micros) {
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.heard = Some(now);
            self.had_company = true;
        }
    }

    /// It is over.
    pub fn leave(&mut self, id: ConnectionId) {
        self.guests.remove(&id);
    }

    /// Those whose time is over.
    pub fn overdue(&self, now: Micros) -> Vec<(ConnectionId, Overdue)> {
        let late = |(id, guest): (&ConnectionId, &Guest)| {
            let (since, patience, why) = match guest.heard {
                None => (guest.came, HANDSHAKE, Overdue::Handshake),
                Some(heard) => (heard, IDLE, Overdue::Idle),
            };
            (now.since(since) >= patience).then_some((*id, why))
        };
        self.guests.iter().filter_map(late).collect()
    }

    /// Whether somebody was heard, and all have gone: those who only looked in do not count.
    pub fn is_deserted(&self) -> bool {
        self.had_company && self.guests.is_empty()
    }
}

/// The most connections of any server: the system's usual limit of descriptors is not far above.
pub const MAX_CONNECTIONS: usize = 896;
/// What there is for strangers, besides two connections for each source (an old one may not be known to be dead).
const SPARE: usize = 192;
/// Connections from one address, this machine's own excepted.
const MOST_THERE: usize = 16;
/// How long a connection may take to its first believed packet.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long it may be silent.
const IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], port))
    }

    #[test]
    fn who_says_nothing_goes_after_five_seconds_and_who_falls_silent_after_a_minute() {
        let mut doors = Doors::new(32);
        let start = Micros(3_600_000_000);
        let [mute, good] = [ConnectionId(1), ConnectionId(2)];
        doors.come(mute, address(1, 1), start).unwrap();
        doors.come(good, address(2, 1), start).unwrap();
        doors.hear(good, start + SECOND);
        assert!(doors.overdue(start + 5 * SECOND - Duration::from_micros(1)).is_empty());
        assert_eq!(doors.overdue(start + 5 * SECOND), [(mute, Overdue::Handshake)]);
        doors.leave(mute);
        for second in 0..600 {
            doors.hear(good, start + second * SECOND);
            assert!(doors.overdue(start + (second + 59) * SECOND).is_empty());
        }
        assert!(!doors.is_deserted());
        assert_eq!(doors.overdue(start + 660 * SECOND), [(good, Overdue::Idle)]);
        doors.leave(good);
        assert!(doors.is_deserted());
        doors.come(mute, address(1, 1), start).unwrap();
        assert!(!doors.is_deserted());
    }

    #[test]
    fn one_address_has_so_many_and_this_machine_more() {
        let mut doors = Doors::new(32);
        let mut id = (0..).map(ConnectionId);
        for port in 0..16 {
            assert_eq!(doors.come(id.next().unwrap(), address(1, port), Micros(0)), Ok(None));
        }
        assert_eq!(doors.come(id.next().unwrap(), address(1, 99), Micros(0)), Err(Refusal::TooManyThere));
        assert_eq!(doors.come(id.next().unwrap(), address(2, 99), Micros(0)), Ok(None));
        let here = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!((0..200).all(|_| doors.come(id.next().unwrap(), here, Micros(0)) == Ok(None)));
    }

    #[test]
    fn a_crowd_that_says_nothing_gives_way_and_one_that_is_heard_does_not() {
        let mut doors = Doors::new(2);
        let most = 2 * 2 + 192;
        let here = SocketAddr::from(([127, 0, 0, 1], 9));
        doors.come(ConnectionId(0), here, Micros(0)).unwrap();
        doors.hear(ConnectionId(0), Micros(1));
        for n in 1..10_000 {
            let gone = doors.come(ConnectionId(n), here, Micros(n)).unwrap();
            assert_eq!(gone, n.checked_sub(most - 1).filter(|id| *id > 0).map(ConnectionId));
            assert!(doors.guests.len() <= most as usize);
        }
        for n in 0..10_000 {
            doors.hear(ConnectionId(n), Micros(20_000));
        }
        assert_eq!(doors.come(ConnectionId(10_000), here, Micros(20_000)), Err(Refusal::TooManyConnections));
    }
}
