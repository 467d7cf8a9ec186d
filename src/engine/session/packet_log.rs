//! Every packet on a line of its own in a rotated CSV file, written by a thread of its own.
//!
//! The thread that meets the packets only fills in a small value and queues it; a full queue drops lines and counts
//! them. Columns: `time_us,direction,source,sequence,timestamp,bytes,verdict`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate, compression::Compression};

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Micros;

/// The writing end; when it is dropped, what is queued is written and the file closed.
pub struct PacketLog {
    lines: Option<Sender<PacketLine>>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub struct PacketLine {
    /// When it was received or sent.
    pub time: Micros,
    /// Sent by us.
    pub outgoing: bool,
    /// The other end.
    pub peer: SocketAddr,
    /// Its sequence number, where it has one.
    pub sequence: Option<u16>,
    /// Its RTP timestamp, where it has one.
    pub timestamp: Option<u32>,
    /// Its length with the wire header.
    pub bytes: usize,
    /// What was made of it.
    pub verdict: &'static str,
}

impl PacketLog {
    /// Opens the file anew; an earlier one is kept as `PATH.1`, and so on, three at most, as when it passes 16 MiB.
    pub fn open(path: &Path) -> Result<Self> {
        // file-rotate panics on a bad folder and is silent about a file that cannot be opened: ask first.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| Error::io(ErrorKind::Recording, format!("packet log {}", path.display()), &e))?;
        let (lines, queue) = bounded(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let path: PathBuf = path.into();
        let thread = std::thread::Builder::new()
            .name("as-packetlog".into())
            .spawn(move || write_lines(&path, &queue))
            .map_err(|e| Error::io(ErrorKind::State, "the packet log's thread", &e))?;
        Ok(Self { lines: Some(lines), dropped, thread: Some(thread) })
    }

    /// Queues a line; never waits.
    pub fn write(&self, line: PacketLine) {
        if let Some(lines) = &self.lines
            && let Err(TrySendError::Full(_)) = lines.try_send(line)
        {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for PacketLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let dropped = self.dropped.load(Relaxed);
        if dropped > 0 {
            log::warn!(target: "audiostream.packets", "{dropped} lines of the packet log were dropped: the disk was too slow");
        }
    }
}

fn write_lines(path: &Path, queue: &Receiver<PacketLine>) {
    let mut file = FileRotate::new(
        path,
        AppendCount::new(KEPT),
        ContentLimit::BytesSurpassed(LIMIT),
        Compression::None,
        None,
    );
    let started_empty = std::fs::metadata(path).is_ok_and(|m| m.len() == 0);
    if !started_empty && file.rotate().is_err() {
        return;
    }
    let mut text = String::from("time_us,direction,source,sequence,timestamp,bytes,verdict\n");
    while let Ok(first) = queue.recv() {
        for line in std::iter::once(first).chain(queue.try_iter().take(BATCH)) {
            line.format(&mut text);
            // Line by line: the file is rotated between lines only.
            if file.write_all(text.as_bytes()).is_err() {
                log::error!(target: "audiostream.packets", "the packet log {} can no longer be written", path.display());
                return;
            }
            text.clear();
        }
        let _ = file.flush();
    }
    let _ = file.write_all(text.as_bytes());
    let _ = file.flush();
}

impl PacketLine {
    fn format(&self, text: &mut String) {
        let direction = if self.outgoing { "out" } else { "in" };
        let _ = write!(text, "{},{direction},{},", self.time.0, self.peer);
        if let Some(sequence) = self.sequence {
            let _ = write!(text, "{sequence}");
        }
        text.push(',');
        if let Some(timestamp) = self.timestamp {
            let _ = write!(text, "{timestamp}");
        }
        let _ = writeln!(text, ",{},{}", self.bytes, self.verdict);
    }
}

const QUEUE: usize = 8192;
const BATCH: usize = 256;
const LIMIT: usize = 16 << 20;
const KEPT: usize = 3;
