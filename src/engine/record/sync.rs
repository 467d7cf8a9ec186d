//! Brings files to the disk from a thread of its own: an `fsync` may take seconds, and whoever writes must not wait.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// The thread "as-sync": serves any number of files, and ends when nobody can ask it any more.
pub(super) struct SyncThread {
    asks: Sender<Arc<Job>>,
    thread: JoinHandle<()>,
}

/// One file's way to that thread.
pub(super) struct Syncer {
    job: Arc<Job>,
    asks: Sender<Arc<Job>>,
}

/// A file, and how far it is.
struct Job {
    file: Arc<File>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// In the queue: once is enough, it covers all that was written before it is served.
    asked: bool,
    busy: bool,
    errno: i32,
    /// Nobody looks at errors any more.
    left: bool,
}

impl SyncThread {
    /// Starts it.
    pub(super) fn start() -> io::Result<Self> {
        let (asks, asked) = channel();
        let thread = Builder::new().name("as-sync".into()).spawn(move || serve(&asked))?;
        Ok(Self { asks, thread })
    }

    /// For a file.
    pub(super) fn syncer(&self, file: Arc<File>) -> Syncer {
        let job = Job { file, state: Mutex::default(), changed: Condvar::new() };
        Syncer { job: Arc::new(job), asks: self.asks.clone() }
    }

    /// Ends once all that was asked for is done, as far as nobody else can ask.
    pub(super) fn join(self) {
        let Self { asks, thread } = self;
        drop(asks);
        let _ = thread.join();
    }
}

impl Syncer {
    /// Asks that all written so far be brought to the disk soon; does not wait.
    pub(super) fn ask(&self) {
        if !std::mem::replace(&mut self.job.state().asked, true) {
            let _ = self.asks.send(Arc::clone(&self.job));
        }
    }

    /// An error that a sync met since this was last asked: what was written may not be on the disk.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        match std::mem::take(&mut self.job.state().errno) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Brings everything to the disk; waits no longer than `patience`. What fails after that is a line in the log.
    pub(super) fn finish(self, patience: Duration) -> io::Result<()> {
        self.ask();
        let waiting = |state: &mut State| state.asked || state.busy;
        let waited = self.job.changed.wait_timeout_while(self.job.state(), patience, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.left = true;
        match state.errno {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Job {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.state();
        (state.asked, state.busy) = (false, true);
        drop(state);
        let result = self.file.sync_data();
        let mut state = self.state();
        state.busy = false;
        if let Err(error) = result
            && let Some(number) = error.raw_os_error()
            // What is not a file on a disk (/dev/null) has nothing to bring there.
            && ![libc::EINVAL, libc::EROFS, libc::ENOSYS].contains(&number)
        {
            state.errno = number;
            if state.left {
                log::error!(target: TARGET, "the end of a recording may not be on the disk: {error}");
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}

fn serve(asked: &Receiver<Arc<Job>>) {
    for job in asked {
        job.serve();
    }
}

const TARGET: &str = "audiostream";
