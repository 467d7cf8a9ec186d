//! An experiment on a bad network, from sound in to sound heard, in virtual time. Pure.
//!
//! Sender, link, receiver and playout are those of a live session; only the clock and the sound cards are invented. So a
//! minute takes a fraction of a second, and what is found agrees with a live client that has the same `network=`.
//!
//! Guaranteed: the same experiment has the same outcome on every machine, as far as it is counted or timed; every
//! figure is a whole number. Not guaranteed: the heard samples of Opus, which are made by libopus with floats.

mod capture;
mod ear;
mod experiment;
mod ledger;
mod measure;
mod outcome;
mod road;
mod stream;
mod talker;

pub use experiment::Experiment;
pub use ledger::{Entry, State};
pub use outcome::{Bits, BurstFigures, Connection, Counts, Injected, Judgement, Outcome, Spread};

use std::time::Duration;

use self::capture::Capture;
use self::ear::Ear;
use self::ledger::Ledger;
use self::road::Road;
use self::talker::Talker;
use crate::engine::error::Result;
use crate::engine::sim::scenario::START;
use crate::engine::time::Micros;

/// Tries it.
pub fn run(experiment: &Experiment) -> Result<Outcome> {
    experiment.check()?;
    let mut talker = Talker::new(experiment)?;
    let capture = experiment.capture.then(Capture::default);
    let mut road = Road::new(experiment, capture.clone());
    let mut ear = Ear::new(experiment)?;
    let mut ledger = Ledger::default();
    loop {
        let pull = ear.next();
        let now = [talker.next(), road.next()].into_iter().flatten().fold(pull, Micros::min);
        if talker.next() == Some(now) {
            talker.capture();
        }
        road.advance(now, &mut |at, number, is_copy, packet| {
            ledger.arrived(number, is_copy, at);
            ear.receive(at, packet, is_copy, &mut ledger);
        });
        talker.supply(now, &mut road, &mut ledger);
        let is_due = |next: Option<Micros>| next.is_some_and(|next| next <= now);
        if now < pull || is_due(talker.next()) || is_due(road.next()) {
            continue;
        }
        ear.pull(&mut ledger);
        let over = talker.is_over() && road.is_empty() && ear.has_been_silent_for(SILENCE);
        if over || talker.is_over() && now >= experiment.end() + LONGEST_REST {
            break;
        }
    }
    let mut outcome = measure::outcome(experiment, &talker, &road, ear, ledger)?;
    outcome.capture = capture.map(|capture| capture.write(experiment)).transpose()?;
    Ok(outcome)
}

/// When the first frame is captured.
pub const BEGIN: Micros = START;
/// Nothing was heard for so long, and nothing is under way: it is over. Longer than playout conceals.
const SILENCE: Duration = Duration::from_millis(1_200);
/// What has not arrived so long after the sound's end is not waited for.
const LONGEST_REST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
