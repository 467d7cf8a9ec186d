//! What is sent, and what came of it.

use std::time::Duration;

use _engine::engine::sim::config::LinkConfig;
use _engine::engine::sim::tcp::Algorithm;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub algorithm: Algorithm,
    pub work: Work,
    /// The path, as `--network` has it.
    pub network: &'static str,
    pub seed: u64,
    pub length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// 10 ms of L16 with its RTP header and RFC 4571's length, every 10 ms.
    Audio,
    /// As much as goes.
    Bulk,
}

/// What arrived.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    bytes: u64,
    /// Bytes by the end of the bulk's time.
    pub in_time: u64,
    /// From the moment each frame was due to be written until it was read, microseconds.
    pub delays: Vec<u64>,
}

impl Job {
    pub const FRAME: usize = 896;
    pub const INTERVAL: Duration = Duration::from_millis(10);

    pub fn frames(&self) -> u64 {
        (self.length.as_micros() / Self::INTERVAL.as_micros()) as u64
    }

    pub fn link(&self) -> LinkConfig {
        let link = LinkConfig::parse(self.network).expect("a path that can be");
        LinkConfig { seed: self.seed, ..link }
    }
}

impl Outcome {
    /// So much has arrived at `at` microseconds after the start; false where more does not matter.
    pub fn arrived(&mut self, job: &Job, at: u64, length: usize) -> bool {
        self.bytes += length as u64;
        let end = job.length.as_micros() as u64;
        match job.work {
            Work::Audio => {
                while (self.delays.len() as u64 + 1) * Job::FRAME as u64 <= self.bytes {
                    let due = self.delays.len() as u64 * Job::INTERVAL.as_micros() as u64;
                    self.delays.push(at.saturating_sub(due));
                }
                (self.delays.len() as u64) < job.frames()
            }
            Work::Bulk => {
                if at <= end {
                    self.in_time = self.bytes;
                }
                at <= end
            }
        }
    }

    /// A delay that so many per cent of the frames do not exceed, ms.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let at = (delays.len() * percent).div_ceil(100).max(1) - 1;
        delays.get(at).map_or(f64::NAN, |&delay| delay as f64 / 1e3)
    }
}
