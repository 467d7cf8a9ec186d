//! Both, side by side, and whether they agree.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use _engine::engine::sim::config::Loss;
use _engine::engine::sim::tcp::Algorithm;

use super::outcome::{Job, Outcome, Work};
use super::{kernel, model, tun};

/// Runs both and prints the table; fails where they disagree by more than a factor: two over ten seeds of a minute each,
/// three over the few of a test.
pub fn main(args: &[String]) -> ExitCode {
    let long = args.iter().any(|arg| arg == "--bench");
    if !long && args.iter().any(|arg| !arg.starts_with("--")) {
        // `cargo test NAME` wants something else.
        return ExitCode::SUCCESS;
    }
    // As many at once as two processors carry in real time.
    let groups: &[(Work, u64, u64, &[&'static str])] = if long {
        &[
            (Work::Audio, 10, 60, &["loss=1,delay=40", "loss=2,delay=40"]),
            (Work::Audio, 10, 60, &["loss=5,delay=40", "loss=10,delay=40"]),
            (Work::Bulk, 10, 60, &["loss=1,delay=40", "loss=2,delay=40"]),
            (Work::Bulk, 10, 60, &["loss=5,delay=40", "loss=10,delay=40"]),
        ]
    } else {
        &[(Work::Audio, 3, 12, &["loss=2,delay=40", "loss=10,delay=40"])]
    };
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    let groups = groups.iter().enumerate().filter(|(n, _)| only.is_none_or(|only| *only == n.to_string()));
    if let Err(error) = tun::become_root() {
        return left_out(&error);
    }
    println!("{HEAD}");
    let mut wrong = Vec::new();
    for (_, &(work, seeds, seconds, networks)) in groups {
        let mut jobs = Vec::new();
        for algorithm in [Algorithm::Reno, Algorithm::Cubic] {
            for &network in networks {
                let length = Duration::from_secs(seconds);
                jobs.extend((1..=seeds).map(|seed| Job { algorithm, work, network, seed, length }));
            }
        }
        let theirs = match kernel::run(&jobs) {
            Ok(outcomes) => outcomes,
            Err(error) => return left_out(&error),
        };
        let ours: Vec<Outcome> = jobs.iter().map(model::run).collect();
        let count = seeds as usize;
        let bound = if long { 2.0 } else { 3.0 };
        for ((jobs, theirs), ours) in jobs.chunks(count).zip(theirs.chunks(count)).zip(ours.chunks(count)) {
            let name = format!("{}, {}", jobs[0].algorithm.name(), jobs[0].network);
            for complaint in row(&jobs[0], theirs, ours, bound) {
                wrong.push(format!("tcp_kernel: {name}: {complaint}"));
            }
            if work == Work::Audio && args.iter().any(|arg| arg == "--each") {
                each(theirs, ours);
            }
        }
    }
    for complaint in &wrong {
        println!("{complaint}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn left_out(error: &io::Error) -> ExitCode {
    println!("tcp_kernel: left out: no TUN devices in network namespaces here: {error}");
    ExitCode::SUCCESS
}

/// Prints one line, and returns what is wrong with it.
fn row(job: &Job, theirs: &[Outcome], ours: &[Outcome], bound: f64) -> Vec<String> {
    let name = job.algorithm.name();
    let mean =
        |of: &[Outcome], what: &dyn Fn(&Outcome) -> f64| of.iter().map(what).sum::<f64>() / of.len() as f64;
    let mut wrong = Vec::new();
    let mut compare = |what: &str, kernel: f64, model: f64| {
        let apart = model / kernel;
        if !(1.0 / bound..bound).contains(&apart) {
            wrong.push(format!("{what}: the model's is {apart:.2} of the kernel's"));
        }
    };
    if job.work == Work::Bulk {
        let rate = |o: &Outcome| o.in_time as f64 / job.length.as_secs_f64();
        let mathis = 1448.0 / 0.080 * 1.22 / loss(job).sqrt();
        let (kernel, model) = (mean(theirs, &rate) / mathis, mean(ours, &rate) / mathis);
        println!(
            "{name:6} bulk  {:37} {kernel:8.2} {model:8.2}   of Mathis' {:.0} kB/s",
            job.network,
            mathis / 1e3
        );
        compare("rate", kernel, model);
        return wrong;
    }
    let values = |percent| {
        let of = |outcomes: &[Outcome]| mean(outcomes, &|o: &Outcome| o.percentile(percent));
        (of(theirs), of(ours))
    };
    let (half, most) = (values(50), values(95));
    println!(
        "{name:6} sound {:37} {:8.0} {:8.0}  {:8.0} {:8.0}",
        job.network, half.0, half.1, most.0, most.1
    );
    if loss(job) <= 0.02 {
        compare("median delay", half.0, half.1);
        compare("95th percentile of the delay", most.0, most.1);
    } else if (most.0 > OVERRUN_MS) != (most.1 > OVERRUN_MS) {
        wrong.push("one keeps up with the sound and the other does not".to_owned());
    }
    wrong
}

/// As a fraction.
fn loss(job: &Job) -> f64 {
    match job.link().loss {
        Loss::Independent(share) => share.fraction(),
        Loss::Burst(burst) => burst.loss.fraction(),
    }
}

/// Prints the percentiles of each seed.
fn each(theirs: &[Outcome], ours: &[Outcome]) {
    let say = |o: &Outcome| [50, 95, 100].map(|percent| format!("{:6.0}", o.percentile(percent))).join(" ");
    for (theirs, ours) in theirs.iter().zip(ours) {
        println!("    kernel {}   model {}", say(theirs), say(ours));
    }
}

/// A delay that only ever grows has grown beyond this.
const OVERRUN_MS: f64 = 1_000.0;
const HEAD: &str = "                                                    kernel    model    kernel    model
                                                       p50      p50       p95      p95   (ms, mean of the seeds)";
