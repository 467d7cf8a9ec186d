//! Many microphones on one machine, and the least that a receiver of theirs can cost: run by `thousand.py`, which says
//! what to do; started without a word (by `cargo bench`) it does nothing.
//!
//! `send PORT SOURCES SECONDS LOSS`: so many sources of 10 ms L16 (894 bytes), spread evenly within 10 ms, one after another
//! beginning within the first second, of whose packets that part (0 to 1) is kept back; prints how many packets were sent and kept back. `count`: receives and counts, no more
//! than that, until nothing has come for a second; prints its port, then the count.

#[cfg(target_os = "linux")]
mod linux {
    #![allow(unsafe_code, reason = "sendmmsg and recvmmsg, which neither std nor socket2 offers")]
    #![allow(clippy::disallowed_methods, reason = "the time of a sender")]

    use std::io::Write;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    /// Sends.
    pub fn send(port: u16, sources: usize, seconds: f64, loss: f64) {
        let sockets: Vec<UdpSocket> = (0..sources.div_ceil(SOURCES_EACH))
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
                socket.connect(("127.0.0.1", port)).expect("the receiver");
                socket
            })
            .collect();
        let mut packets: Vec<[u8; PACKET]> = (0..sources).map(first_packet).collect();
        let rounds = (seconds * 100.0) as u64;
        let (mut sent, mut kept, mut late) = (0u64, 0u64, Duration::ZERO);
        // SAFETY: only changes how exactly this process sleeps.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        let began = Instant::now();
        for round in 0..rounds {
            for slice in 0..SLICES {
                let due = ROUND * round as u32 + ROUND * slice as u32 / SLICES as u32;
                sleep_until(began, due);
                late = late.max(began.elapsed().saturating_sub(due));
                let range = sources * slice / SLICES..sources * (slice + 1) / SLICES;
                let mut chosen: Vec<(usize, &mut [u8; PACKET])> = Vec::with_capacity(range.len());
                for (source, packet) in range.clone().zip(&mut packets[range]) {
                    // The neighbours in time do not begin together.
                    if round < (source * 7919 % sources * BEGINNING / sources) as u64 {
                        continue;
                    }
                    advance(packet);
                    if chance(source as u64, round) < loss {
                        kept += 1;
                    } else {
                        chosen.push((source / SOURCES_EACH, packet));
                    }
                }
                for group in chosen.chunk_by_mut(|a, b| a.0 == b.0) {
                    sent += send_all(&sockets[group[0].0], group);
                }
            }
        }
        println!(r#"{{"sent": {sent}, "kept": {kept}, "late_ms": {:.1}}}"#, late.as_secs_f64() * 1e3);
    }

    /// Counts.
    pub fn count() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let bytes: libc::c_int = 8 << 20;
        // SAFETY: the option's value is one int that lives for the call. Where it is refused the buffer stays small.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time-out");
        println!("{}", socket.local_addr().expect("an address").port());
        std::io::stdout().flush().expect("somebody to tell");
        let mut buffers = vec![[0u8; 2048]; BATCH];
        let mut vectors: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = vectors.iter_mut().map(message).collect();
        let mut counted = 0u64;
        loop {
            // SAFETY: as many messages as are said, each of one buffer, all of which live for the call.
            let got = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_WAITFORONE,
                    std::ptr::null_mut(),
                )
            };
            match got {
                1.. => counted += got as u64,
                _ if counted > 0 => break,
                _ => {}
            }
        }
        println!("{counted}");
    }

    fn send_all(socket: &UdpSocket, group: &mut [(usize, &mut [u8; PACKET])]) -> u64 {
        let mut vectors: Vec<libc::iovec> = group
            .iter_mut()
            .map(|(_, packet)| libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: PACKET })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = vectors.iter_mut().map(message).collect();
        let mut done = 0;
        while done < messages.len() {
            let rest = &mut messages[done..];
            // SAFETY: as many messages as are said, each of one packet, all of which live for the call.
            let count = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            if count <= 0 {
                break;
            }
            done += count as usize;
        }
        done as u64
    }

    fn message(vector: &mut libc::iovec) -> libc::mmsghdr {
        // SAFETY: all zero is an empty message.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        message
    }

    fn sleep_until(began: Instant, due: Duration) {
        if let Some(left) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(left);
        }
    }

    /// RTP, payload type 11; a voice-like sound whose period is the packet's length.
    fn first_packet(source: usize) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        packet[..2].copy_from_slice(&[0x80, 11]);
        packet[2..4].copy_from_slice(&((source * 7919) as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&((source * 104_729) as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&(0x5EED_0000 + source as u32 * 16).to_be_bytes());
        let harmonics: Vec<(f64, f64, f64)> = (1..=12)
            .map(|n| {
                let phase = chance(source as u64, n) * std::f64::consts::TAU;
                (f64::from(n as u32), phase, 300.0 / n as f64)
            })
            .collect();
        for (at, sample) in packet[12..].chunks_exact_mut(2).enumerate() {
            let turn = at as f64 / FRAMES as f64 * std::f64::consts::TAU;
            let value: f64 = harmonics.iter().map(|(n, phase, loud)| (turn * n + phase).sin() * loud).sum();
            sample.copy_from_slice(&(value as i16).to_be_bytes());
        }
        packet
    }

    fn advance(packet: &mut [u8; PACKET]) {
        let [_, _, s0, s1, t0, t1, t2, t3, ..] = *packet;
        let sequence = u16::from_be_bytes([s0, s1]).wrapping_add(1);
        let timestamp = u32::from_be_bytes([t0, t1, t2, t3]).wrapping_add(FRAMES as u32);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Even in 0 to 1, of two numbers (splitmix64).
    fn chance(a: u64, b: u64) -> f64 {
        let mut x = (a << 32 ^ b).wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ x >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    const FRAMES: usize = 441;
    const PACKET: usize = 12 + 2 * FRAMES;
    const ROUND: Duration = Duration::from_millis(10);
    /// Rounds within which all have begun.
    const BEGINNING: usize = 100;
    /// Pieces of 10 ms in which packets go together.
    const SLICES: usize = 40;
    /// Sources that share a port.
    const SOURCES_EACH: usize = 50;
    const BATCH: usize = 64;
}

fn main() {
    #[cfg(target_os = "linux")]
    {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or_default();
        match words.first().map(String::as_str) {
            Some("send") => linux::send(number(1) as u16, number(2) as usize, number(3), number(4)),
            Some("count") => linux::count(),
            _ => {}
        }
    }
}
