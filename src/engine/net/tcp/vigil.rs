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
