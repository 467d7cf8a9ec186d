//! The engine's model over the same link, in virtual time.

use _engine::engine::sim::tcp::{TcpConfig, TcpPath};
use _engine::engine::time::Micros;

use super::outcome::{Job, Outcome, Work};

pub fn run(job: &Job) -> Outcome {
    let mut path = TcpPath::new(TcpConfig { algorithm: job.algorithm, ..TcpConfig::default() }, job.link());
    let mut outcome = Outcome::default();
    match job.work {
        Work::Audio => {
            let mut read = |at: Micros, bytes: &[u8]| {
                outcome.arrived(job, at.0, bytes.len());
            };
            for n in 0..job.frames() {
                let now = Micros(0) + Job::INTERVAL * n as u32;
                path.advance(now, &mut read);
                path.write(now, &[0; Job::FRAME]);
            }
            while let Some(at) = path.poll() {
                path.advance(at, &mut read);
            }
        }
        Work::Bulk => {
            let chunk = vec![0; 64 << 10];
            path.write(Micros(0), &chunk);
            while let Some(at) = path.poll().filter(|&at| at <= Micros(0) + job.length) {
                path.advance(at, &mut |at, bytes| {
                    outcome.arrived(job, at.0, bytes.len());
                });
                while path.unsent() < chunk.len() && path.room() > 0 {
                    path.write(at, &chunk);
                }
            }
        }
    }
    outcome
}
