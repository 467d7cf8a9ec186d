//! How a dead peer is noticed: within 10 s, whether sound flows or not.

use std::io::Result;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

/// Has the kernel ask a silent peer for a sign of life, and give up on one that does not acknowledge.
pub fn keep(socket: &Socket) -> Result<()> {
    let probes = TcpKeepalive::new().with_time(PERIOD).with_interval(PERIOD);
    #[cfg(not(windows))]
    let probes = probes.with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    // RFC 5482. Also ends a connection whose peer takes nothing for so long.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(GIVEN_UP))?;
    Ok(())
}

/// Silence before the first probe, and between two.
const PERIOD: Duration = Duration::from_secs(2);

/// Unanswered probes that end the connection.
#[cfg(not(windows))]
const PROBES: u32 = 3;

/// How long sent bytes may stay unacknowledged.
#[cfg(target_os = "linux")]
const GIVEN_UP: Duration = Duration::from_secs(8);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::engine::config::{Path, Protocol};
    use crate::engine::net::tcp::{TcpEvent, TcpReceiver, TcpSender};
    use crate::engine::net::udp::UdpReceiver;
    use crate::engine::net::wait::Deadline;
    use crate::engine::time::Clock;

    const LONG: Duration = Duration::from_secs(20);

    fn pair() -> (TcpSender, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = Path { protocol: Protocol::Tcp, host: "127.0.0.1".into(), port, ..Path::default() };
        let sender = TcpSender::connect(&path, LONG, &AtomicBool::new(false)).unwrap();
        (sender, listener.accept().unwrap().0)
    }

    /// Takes 8 s: the kernel's own patience, which cannot be hurried.
    #[test]
    fn a_dead_peer_is_noticed_within_ten_seconds_at_either_end() {
        // A filter that lets no packet in makes a socket as silent as a machine without power.
        let dead = |socket: &Socket| {
            let drop_all = [socket2::SockFilter::new(0x06, 0, 0, 0)];
            socket.attach_filter(&drop_all).unwrap();
        };
        let (mut idle, idle_peer) = pair();
        let (mut sending, sending_peer) = pair();
        let mut receiver = TcpReceiver::bind(Some("127.0.0.1"), 0, Clock::new(), 4).unwrap();
        let caller = Socket::from(TcpStream::connect(receiver.local_addr()).unwrap());
        receiver.poll(LONG, &mut |event| assert!(matches!(event, TcpEvent::Accepted { .. }))).unwrap();
        let (idle_peer, sending_peer) = (Socket::from(idle_peer), Socket::from(sending_peer));
        dead(&idle_peer);
        dead(&sending_peer);
        dead(&caller);

        let deadline = Deadline::after(Duration::from_secs(10));
        let lost = |sender: &mut TcpSender, frame: &[u8]| {
            let mut alarm_clock = UdpReceiver::bind(Some("127.0.0.1"), None, 0, Clock::new()).unwrap();
            while !deadline.is_over() {
                match sender.send(frame, Duration::ZERO) {
                    Ok(_) => {
                        // At the pace of sound.
                        let _ = alarm_clock.receive(Duration::from_millis(20), &mut |_| ());
                    }
                    Err(e) => return e.message().to_owned(),
                }
            }
            "nothing noticed".into()
        };
        thread::scope(|s| {
            let idle = s.spawn(|| lost(&mut idle, &[]));
            let sending = s.spawn(|| lost(&mut sending, &[1; 500]));
            let mut error = None;
            while error.is_none() && !deadline.is_over() {
                let handle = &mut |event: TcpEvent<'_>| match event {
                    TcpEvent::Closed { error: e, .. } => error = e,
                    other => panic!("{other:?}"),
                };
                receiver.poll(deadline.left(), handle).unwrap();
            }
            assert_eq!(error.map(|e| e.kind()), Some(io::ErrorKind::TimedOut));
            for thread in [idle, sending] {
                let message = thread.join().unwrap();
                assert!(message.contains("does not answer any more"), "{message}");
            }
        });
    }
}
