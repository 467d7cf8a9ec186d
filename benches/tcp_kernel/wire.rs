//! The wire between two TUN devices: the engine's own link, in real time.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use _engine::engine::sim::config::LinkConfig;
use _engine::engine::sim::draw::Direction;
use _engine::engine::sim::link::Link;
use _engine::engine::sim::outbox::Outbox;
use _engine::engine::time::{Clock, Micros};

/// Carries packets between two devices for as long as the program runs. What makes and ends a connection is only delayed, so
/// that the link's first packet is the stream's first segment, as in the model.
pub fn lay(clock: Clock, up: &File, down: &File, config: LinkConfig) -> std::io::Result<()> {
    let (sender, packets) = mpsc::channel();
    for (direction, device) in [(Direction::Up, up), (Direction::Down, down)] {
        let (mut device, sender) = (device.try_clone()?, sender.clone());
        spawn("tun", move || {
            let mut buffer = [0; LONGEST];
            while let Ok(length) = device.read(&mut buffer) {
                if sender.send((clock.now(), direction, buffer[..length].to_vec())).is_err() {
                    break;
                }
            }
        })?;
    }
    let (mut up, mut down) = (up.try_clone()?, down.try_clone()?);
    spawn("wire", move || {
        let mut link = Link::new(config);
        let mut under_way = Outbox::new(8192, LONGEST);
        loop {
            while let Some((_, direction, packet)) = under_way.pop(clock.now()) {
                let to = if direction == Direction::Up { &mut down } else { &mut up };
                let _ = to.write(packet);
            }
            let wait = under_way.next_at().map_or(Duration::from_secs(1), |at| at.since(clock.now()));
            match packets.recv_timeout(wait) {
                Ok((at, direction, packet)) => match kind(&packet, direction) {
                    Kind::Stream => {
                        for &arrival in link.send(at, direction, packet.len()).as_slice() {
                            under_way.push(arrival, direction, &packet);
                        }
                    }
                    Kind::Connection => {
                        under_way.push(at + config.delay, direction, &packet);
                    }
                    Kind::Other => {}
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    })
}

enum Kind {
    /// Data, and what acknowledges it.
    Stream,
    /// The beginning and the end.
    Connection,
    Other,
}

fn kind(packet: &[u8], direction: Direction) -> Kind {
    if packet.len() < 40 || packet[0] != 0x45 || packet[9] != 6 {
        return Kind::Other;
    }
    let header = 20 + usize::from(packet[32] >> 4) * 4;
    let only_acknowledges = packet.len() <= header;
    if packet[33] & (FIN | SYN | RST) != 0 || (direction == Direction::Up && only_acknowledges) {
        Kind::Connection
    } else {
        Kind::Stream
    }
}

/// A thread that ends with the program.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// A moment that is not before `at`.
#[allow(clippy::disallowed_methods, reason = "real time")]
pub fn sleep_until(clock: &Clock, at: Micros) {
    while clock.now() < at {
        thread::sleep(at.since(clock.now()));
    }
}

const LONGEST: usize = 2048;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
