//! A server's sockets: one for datagrams, one for connections, or both at one port number.

use std::net::SocketAddr;
use std::time::Duration;

use super::tcp::TcpReceiver;
use super::udp::UdpReceiver;
use super::wait::Watch;
use super::waker::Waker;
use crate::engine::config::Transports;
use crate::engine::error::Result;
use crate::engine::time::Clock;

/// What a server listens at; at least one of the two is there.
#[derive(Debug)]
pub struct Ports {
    /// For datagrams.
    pub udp: Option<Box<UdpReceiver>>,
    /// For connections.
    pub tcp: Option<TcpReceiver>,
    local: SocketAddr,
    watch: Watch,
}

impl Ports {
    /// Binds what is asked for, as [`UdpReceiver::bind`] and [`TcpReceiver::bind`] do; of both, both or none.
    pub fn bind(
        transports: Transports,
        bind: Option<&str>,
        interface: Option<&str>,
        port: u16,
        clock: Clock,
        max_connections: usize,
    ) -> Result<Self> {
        let udp = |port| UdpReceiver::bind(bind, interface, port, clock).map(Box::new);
        let tcp = || TcpReceiver::bind(bind, port, clock, max_connections);
        let (udp, tcp) = match transports {
            Transports::Udp => (Some(udp(port)?), None),
            Transports::Tcp => (None, Some(tcp()?)),
            Transports::Both => {
                // The system chooses a number that is free for connections: it need not be for datagrams. Those tried are held
                // meanwhile, so that it chooses others.
                let mut tried = Vec::new();
                loop {
                    let tcp = tcp()?;
                    match udp(tcp.local_addr().port()) {
                        Ok(udp) => break (Some(udp), Some(tcp)),
                        Err(why) if port != 0 || tried.len() == MOST_TRIES => return Err(why),
                        Err(_) => tried.push(tcp),
                    }
                }
            }
        };
        let local = match (&udp, &tcp) {
            (Some(udp), _) => udp.local_addr(),
            (None, Some(tcp)) => tcp.local_addr(),
            (None, None) => SocketAddr::from(([0, 0, 0, 0], port)),
        };
        Ok(Self { udp, tcp, local, watch: Watch::default() })
    }

    /// Where they listen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What ends a wait for them; `None` where there are none.
    pub fn waker(&self) -> Option<Waker> {
        let of_udp = self.udp.as_ref().map(|udp| udp.waker());
        of_udp.or_else(|| self.tcp.as_ref().map(TcpReceiver::waker))
    }

    /// Of both, waits for either, the waker or `timeout`; a single one waits for itself. How long to wait there.
    pub fn wait(&mut self, timeout: Duration) -> Result<Duration> {
        let (Some(udp), Some(tcp)) = (&self.udp, &mut self.tcp) else { return Ok(timeout) };
        self.watch.clear();
        udp.watch_in(&mut self.watch);
        let timeout = tcp.watch_in(&mut self.watch, timeout);
        udp.wait_with(&mut self.watch, timeout)?;
        Ok(Duration::ZERO)
    }
}

/// Numbers that the system chooses before this is given up.
const MOST_TRIES: usize = 100;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::engine::error::ErrorKind;
    use crate::engine::net::tcp::TcpEvent;

    const HOME: Option<&str> = Some("127.0.0.1");

    #[test]
    fn both_are_heard_at_one_number() {
        let mut ports = Ports::bind(Transports::Both, HOME, None, 0, Clock::new(), 8).unwrap();
        let at = ports.local_addr();
        let waker = ports.waker().unwrap();
        waker.wake();
        assert_eq!(ports.wait(Duration::from_secs(60)).unwrap(), Duration::ZERO);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.send_to(b"by datagram", at).unwrap();
        TcpStream::connect(at).unwrap().write_all(b"by stream").unwrap();
        let mut heard = Vec::new();
        while heard.len() < 2 {
            let rest = ports.wait(Duration::from_secs(20)).unwrap();
            let udp = ports.udp.as_mut().unwrap();
            udp.receive(rest, &mut |datagram| heard.push(datagram.bytes.to_vec())).unwrap();
            let tcp = ports.tcp.as_mut().unwrap();
            tcp.poll(rest, &mut |event| {
                if let TcpEvent::Data { bytes, .. } = event {
                    heard.push(bytes.to_vec());
                }
            })
            .unwrap();
        }
        heard.sort();
        assert_eq!(heard, [b"by datagram".to_vec(), b"by stream".to_vec()]);
    }

    #[test]
    fn where_one_is_taken_neither_is_bound() {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = datagrams.local_addr().unwrap().port();
        let bind = || Ports::bind(Transports::Both, HOME, None, port, Clock::new(), 8);
        let error = bind().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert!(error.message().contains("ss -lunp"), "{error}");
        let streams = TcpListener::bind(("127.0.0.1", port)).expect("it was given back");
        drop(datagrams);
        let error = bind().unwrap_err();
        assert!(error.message().contains("ss -ltnp"), "{error}");
        UdpSocket::bind(("127.0.0.1", port)).expect("it was given back");
        drop(streams);
        bind().unwrap();
    }
}
