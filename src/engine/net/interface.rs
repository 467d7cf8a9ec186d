//! Network interfaces, for groups: which there are, and the one that a name, an index or an address means.

#![allow(unsafe_code, reason = "getifaddrs and if_nametoindex, which neither std nor socket2 offers")]

use std::net::{IpAddr, Ipv4Addr};

use super::failure;
use crate::engine::error::{Error, Result};

/// A network interface that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It can carry groups: it says so, and is not this machine alone.
    pub is_for_groups: bool,
}

impl Interface {
    /// The one that is meant by a name, an index or an address of it.
    pub fn find(told: &str) -> Result<Self> {
        let all = all().map_err(|e| failure::plain("cannot list the network interfaces", &e))?;
        let (index, address) = (told.parse::<u32>().ok(), told.parse::<IpAddr>().ok());
        let is_meant = |one: &&Self| {
            one.name == told
                || index == Some(one.index)
                || address.is_some_and(|address| one.addresses.contains(&address))
        };
        all.iter().find(is_meant).cloned().ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
            failure::transport(format!(
                "interface: {told:?} is not up on this machine: give a name, an index or an address of {}",
                names.join(", ")
            ))
        })
    }

    /// Those that can carry groups.
    pub fn for_groups() -> Vec<Self> {
        all().unwrap_or_default().into_iter().filter(|one| one.is_for_groups).collect()
    }

    /// Its first IPv4 address.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        })
    }
}

/// Why a group cannot be reached or heard.
pub fn no_way(group: IpAddr) -> Error {
    failure::transport(format!(
        "no network interface carries the group {group}: bring one up, or name one by interface= (--interface), 'lo' for this machine alone"
    ))
}

#[cfg(unix)]
fn all() -> std::io::Result<Vec<Interface>> {
    use std::ffi::CStr;

    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the call writes the head of a list, which is freed below.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let mut all: Vec<Interface> = Vec::new();
    let mut next = first;
    // SAFETY: each entry of the list is valid until it is freed, and the last one's successor is null; names end in zero, and an
    // address that is there is as long as its family says.
    unsafe {
        while let Some(entry) = next.as_ref() {
            next = entry.ifa_next;
            let flags = entry.ifa_flags as libc::c_int;
            if flags & libc::IFF_UP == 0 {
                continue;
            }
            let name = CStr::from_ptr(entry.ifa_name);
            let index = libc::if_nametoindex(name.as_ptr());
            let place = all.iter().position(|one| one.index == index).unwrap_or_else(|| {
                let carries = flags & libc::IFF_MULTICAST != 0 && flags & libc::IFF_LOOPBACK == 0;
                let name = name.to_string_lossy().into_owned();
                all.push(Interface { index, name, addresses: Vec::new(), is_for_groups: carries });
                all.len() - 1
            });
            let Some(address) = entry.ifa_addr.as_ref() else { continue };
            match i32::from(address.sa_family) {
                libc::AF_INET => {
                    let v4 = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    let v4 = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                    all[place].addresses.push(v4.into());
                }
                libc::AF_INET6 => {
                    let v6 = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    all[place].addresses.push(std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr).into());
                }
                _ => {}
            }
        }
        libc::freeifaddrs(first);
    }
    all.retain(|one| one.index != 0);
    Ok(all)
}

/// They are not listed here: the system chooses.
#[cfg(not(unix))]
fn all() -> std::io::Result<Vec<Interface>> {
    Ok(Vec::new())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_name_index_and_address() {
        let lo = Interface::find("lo").unwrap();
        assert_eq!((lo.index, lo.v4(), lo.is_for_groups), (1, Some(Ipv4Addr::LOCALHOST), false));
        assert_eq!(Interface::find("1").unwrap(), lo);
        assert_eq!(Interface::find("127.0.0.1").unwrap(), lo);
        for wrong in ["", "no-such0", "4000000000", "192.0.2.77"] {
            let error = Interface::find(wrong).unwrap_err();
            assert!(error.message().contains("give a name, an index or an address of lo"), "{error}");
        }
        assert!(Interface::for_groups().iter().all(|one| one.name != "lo"));
    }
}
