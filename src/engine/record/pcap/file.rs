//! A capture as a file, written by a thread of its own, and begun anew where it has grown long.
//!
//! Whoever meets the packets only queues them, and never waits: what finds the queue full is not captured, and is counted. The
//! file is complete up to the last packet whenever the thread rests.

use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate, compression::Compression};

use super::conversation::Conversations;
use super::{Ends, Fate, Pcap};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Micros;
use crate::engine::wire::rtp;

/// A file that is being written; when this is dropped, what is queued is written and the file closed.
pub struct PcapFile {
    queue: PcapQueue,
    thread: Option<JoinHandle<()>>,
}

/// What packets are handed to; copies go to the same file.
#[derive(Clone)]
pub struct PcapQueue {
    items: Sender<Item>,
    tally: Arc<Tally>,
}

/// What is to be written of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A datagram.
    Datagram,
    /// A datagram, with a comment.
    Noted(&'static str),
    /// A datagram that was lost, as the comment says.
    Lost(&'static str),
    /// The first of the ends has connected.
    Opened,
    /// Bytes of a connection.
    Data,
    /// The first of the ends has closed the connection.
    Closed,
}

enum Item {
    Packet { at: Micros, ends: Ends, kind: Kind, bytes: Box<[u8]> },
    Announcement { at: Micros, origin: IpAddr, description: String },
    End,
}

#[derive(Default)]
struct Tally {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl PcapFile {
    /// Opens the file anew; an earlier one is kept as `PATH.1`, and so on, three at most, as when it passes 64 MiB.
    /// Times are since `epoch`, which itself is since 1970.
    pub fn open(path: &Path, epoch: Duration) -> Result<Self> {
        Self::open_within(path, epoch, LIMIT)
    }

    fn open_within(path: &Path, epoch: Duration, limit: u64) -> Result<Self> {
        // file-rotate panics on a bad folder and is silent about a file that cannot be opened: ask first.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| Error::io(ErrorKind::Recording, format!("pcap {}", path.display()), &e))?;
        let (items, waiting) = bounded(PACKETS);
        let tally = Arc::<Tally>::default();
        let (path, counts): (PathBuf, _) = (path.into(), Arc::clone(&tally));
        let thread = std::thread::Builder::new()
            .name("as-pcap".into())
            .spawn(move || {
                if let Err(error) = write(&path, epoch, limit, &waiting, &counts) {
                    log::error!(target: TARGET, "the capture {} can no longer be written: {error}", path.display());
                }
            })
            .map_err(|e| Error::io(ErrorKind::State, "the capture's thread", &e))?;
        Ok(Self { queue: PcapQueue { items, tally }, thread: Some(thread) })
    }

    /// What packets are handed to.
    pub fn queue(&self) -> PcapQueue {
        self.queue.clone()
    }
}

impl Drop for PcapFile {
    fn drop(&mut self) {
        // The thread goes on taking until it reads this, or has died.
        let _ = self.queue.items.send(Item::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let dropped = self.queue.dropped();
        if dropped > 0 {
            log::warn!(target: TARGET, "{dropped} packets are missing in the capture: the disk was too slow");
        }
    }
}

impl PcapQueue {
    /// Packets that were not captured.
    pub fn dropped(&self) -> u64 {
        self.tally.dropped.load(Relaxed)
    }

    /// Queues a packet.
    pub fn push(&self, at: Micros, ends: Ends, kind: Kind, bytes: &[u8]) {
        let waiting = self.tally.waiting.fetch_add(bytes.len(), Relaxed);
        let item = Item::Packet { at, ends, kind, bytes: bytes.into() };
        if waiting + bytes.len() > BYTES || self.items.try_send(item).is_err() {
            self.tally.waiting.fetch_sub(bytes.len(), Relaxed);
            self.tally.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Queues a description of streams, and repeats it where a new file begins.
    pub fn announce(&self, at: Micros, origin: IpAddr, description: String) {
        if self.items.try_send(Item::Announcement { at, origin, description }).is_err() {
            self.tally.dropped.fetch_add(1, Relaxed);
        }
    }
}

type File = BufWriter<FileRotate<AppendCount>>;

fn write(path: &Path, epoch: Duration, limit: u64, items: &Receiver<Item>, tally: &Tally) -> io::Result<()> {
    let mut file = FileRotate::new(path, AppendCount::new(KEPT), ContentLimit::None, Compression::None, None);
    if std::fs::metadata(path)?.len() > 0 {
        file.rotate()?;
    }
    let mut pcap = Pcap::new(BufWriter::new(file), epoch)?;
    let mut conversations = Conversations::default();
    let mut announced: Vec<(IpAddr, String)> = Vec::new();
    loop {
        if items.is_empty() {
            pcap.get_mut().flush()?;
        }
        let Ok(item) = items.recv() else { return Ok(()) };
        match item {
            Item::End => return pcap.get_mut().flush(),
            Item::Announcement { at, origin, description } => {
                pcap.announce(at, origin, &description)?;
                if announced.len() < ANNOUNCED {
                    announced.push((origin, description));
                }
            }
            Item::Packet { at, ends, kind, bytes } => {
                tally.waiting.fetch_sub(bytes.len(), Relaxed);
                if pcap.written() > limit {
                    pcap = anew(pcap, epoch)?;
                    for (origin, description) in &announced {
                        pcap.announce(at, *origin, description)?;
                    }
                }
                match kind {
                    Kind::Datagram => pcap.datagram(at, ends, &bytes, Fate::Passed)?,
                    Kind::Noted(comment) => pcap.datagram(at, ends, &bytes, Fate::Noted(comment))?,
                    Kind::Lost(why) => pcap.datagram(at, ends, &bytes, Fate::Lost(&named(why, &bytes)))?,
                    Kind::Opened => conversations.open(&mut pcap, at, ends)?,
                    Kind::Data => conversations.data(&mut pcap, at, ends, &bytes)?,
                    Kind::Closed => conversations.close(&mut pcap, at, ends)?,
                }
            }
        }
    }
}

/// The comment on a lost packet, which names what is not kept.
pub fn named(why: &str, packet: &[u8]) -> String {
    match rtp::parse(packet) {
        _ if rtp::is_rtcp(packet) => format!("{why}: RTCP, {} bytes", packet.len()),
        Ok((header, _)) => format!("{why}: RTP, sequence {}, {} bytes", header.sequence, packet.len()),
        Err(_) => format!("{why}: {} bytes", packet.len()),
    }
}

/// The next file.
fn anew(full: Pcap<File>, epoch: Duration) -> io::Result<Pcap<File>> {
    let mut file = full.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rotate()?;
    Pcap::new(BufWriter::new(file), epoch)
}

const TARGET: &str = "audiostream.packets";
const PACKETS: usize = 8192;
/// Bytes that may wait for the disk.
const BYTES: usize = 16 << 20;
const LIMIT: u64 = 64 << 20;
const KEPT: usize = 3;
/// Descriptions that are repeated in the next file.
const ANNOUNCED: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const EPOCH: Duration = Duration::from_secs(1_700_000_000);

    #[test]
    fn a_long_capture_goes_on_in_a_new_file_that_stands_for_itself() {
        let folder = std::env::temp_dir().join(format!("audiostream-pcap-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("long.pcapng");
        let file = PcapFile::open_within(&path, EPOCH, 10_000).unwrap();
        let queue = file.queue();
        let ends: Ends = ("127.0.0.1:1000".parse().unwrap(), "127.0.0.1:2000".parse().unwrap());
        queue.announce(Micros(0), ends.0.ip(), "v=0\r\n".into());
        for n in 0..100 {
            queue.push(Micros(n), ends, Kind::Datagram, &[n as u8; 500]);
        }
        drop(file);
        let mut numbers = Vec::new();
        for name in ["long.pcapng.3", "long.pcapng.2", "long.pcapng.1", "long.pcapng"] {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            let packets = super::super::tests::packets(&bytes);
            assert!(packets[0].bytes.ends_with(b"application/sdp\0v=0\r\n"), "{name}");
            numbers.extend(packets[1..].iter().map(|packet| *packet.bytes.last().unwrap()));
        }
        assert!(numbers.len() > 50 && numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
        assert_eq!(numbers.last(), Some(&99));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let error = PcapFile::open(Path::new("/nowhere/at/all.pcapng"), EPOCH).err().unwrap();
        assert!(error.message().contains("pcap /nowhere/at/all.pcapng"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Recording);
    }

    #[test]
    fn what_the_queue_cannot_hold_is_counted() {
        let (items, waiting) = bounded(2);
        let queue = PcapQueue { items, tally: Arc::default() };
        let end: SocketAddr = "127.0.0.1:1".parse().unwrap();
        for _ in 0..5 {
            queue.push(Micros(0), (end, end), Kind::Datagram, &[0; 100]);
        }
        assert_eq!((queue.tally.dropped.load(Relaxed), waiting.len()), (3, 2));
        assert_eq!(queue.tally.waiting.load(Relaxed), 200);
        let (items, waiting) = bounded(100);
        let queue = PcapQueue { items, tally: Arc::default() };
        let long = vec![0; BYTES / 2];
        for _ in 0..3 {
            queue.push(Micros(0), (end, end), Kind::Datagram, &long);
        }
        assert_eq!((queue.tally.dropped.load(Relaxed), waiting.len()), (1, 2));
    }
}
