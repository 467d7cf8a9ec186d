//! Brings a file to the disk from a thread of its own: an `fsync` may take seconds, and whoever writes must not wait.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// The thread "as-sync" of one file. Dropped, it ends by itself after what it was asked for.
pub(super) struct Syncer {
    asks: SyncSender<()>,
    ended: Receiver<()>,
    errno: Arc<AtomicI32>,
    thread: JoinHandle<()>,
}

impl Syncer {
    /// Starts the thread on a handle of its own to `file`.
    pub(super) fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        // One request waiting is enough: it covers all that was written before it is served.
        let (asks, asked) = sync_channel(1);
        let (alive, ended) = channel();
        let errno = Arc::new(AtomicI32::new(0));
        let noted = errno.clone();
        let thread =
            Builder::new().name("as-sync".into()).spawn(move || serve(&file, &asked, &noted, alive))?;
        Ok(Self { asks, ended, errno, thread })
    }

    /// Asks that all written so far be brought to the disk soon; does not wait.
    pub(super) fn ask(&self) {
        let _ = self.asks.try_send(());
    }

    /// An error that a sync met since this was last asked: what was written may not be on the disk.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        match self.errno.swap(0, Ordering::Relaxed) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Brings everything to the disk and ends the thread; waits no longer than `patience`, then leaves it to itself.
    pub(super) fn finish(self, patience: Duration) -> io::Result<()> {
        self.ask();
        let Self { asks, ended, errno, thread } = self;
        drop(asks);
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected) {
            let _ = thread.join();
        }
        match errno.load(Ordering::Relaxed) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

fn serve(file: &File, asked: &Receiver<()>, errno: &AtomicI32, alive: Sender<()>) {
    for () in asked {
        if let Err(error) = file.sync_data()
            && let Some(number) = error.raw_os_error()
            // What is not a file on a disk (/dev/null) has nothing to bring there.
            && ![libc::EINVAL, libc::EROFS, libc::ENOSYS].contains(&number)
        {
            errno.store(number, Ordering::Relaxed);
        }
    }
    drop(alive);
}
