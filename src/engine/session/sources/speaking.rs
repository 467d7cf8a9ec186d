//! The sources are talked to: their microphones are answered in sound.

use super::opening::Opening;
use super::{Entry, Name, Sources, TARGET};
use crate::engine::config::ServerConfig;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::playout::listeners::Listener;
use crate::engine::playout::render::Roster;
use crate::engine::session::party::Dice;
use crate::engine::session::reporting::{Letter, Way};
use crate::engine::session::talking::{PATIENCE, Plan, Talk, Talking, Turn};
use crate::engine::time::Micros;

/// Whether a source is talked to.
#[derive(Default)]
pub enum Answer {
    /// Not yet, or no longer.
    #[default]
    None,
    /// It cannot be.
    Refused,
    /// It is.
    Talk(Box<Talk>),
}

impl Answer {
    /// What is said to it, where anything is.
    pub fn talk(&self) -> Option<&Talk> {
        match self {
            Self::Talk(talk) => Some(talk),
            Self::None | Self::Refused => None,
        }
    }

    /// The same, to say it.
    pub fn talk_mut(&mut self) -> Option<&mut Talk> {
        match self {
            Self::Talk(talk) => Some(talk),
            Self::None | Self::Refused => None,
        }
    }
}

impl Sources {
    /// From now on all that have proved their addresses are talked to.
    pub fn set_talking(&mut self, talking: Talking) {
        self.talking = Some(talking);
    }

    /// What is to be said to the sources in sound now.
    pub fn talk(&mut self, now: Micros) -> Vec<Letter> {
        let mut letters = Vec::new();
        let Some(talking) = &mut self.talking else { return letters };
        talking.listen(self.config.audio.format);
        let wall = self.reporting.wall();
        for (name, entry) in &mut self.entries {
            let Some(way) =
                entry.reports.as_deref().and_then(|reports| reports.way_of_sound(&self.reporting))
            else {
                continue;
            };
            if !entry.outlet.is_playing() {
                entry.answer = Answer::None;
                continue;
            }
            if matches!(entry.answer, Answer::None) {
                let roster = self.out.roster.as_mut();
                let begun =
                    entry.begin(name, &self.config, self.opening.as_deref_mut(), roster, &mut self.dice, now);
                entry.answer = begun.map_or_else(
                    |why| {
                        log::warn!(target: TARGET, "{name} cannot be answered: {why}");
                        Answer::Refused
                    },
                    |talk| Answer::Talk(Box::new(talk)),
                );
            }
            if let Some(talk) = entry.answer.talk_mut() {
                let (dice, letters) = (&mut self.dice, &mut letters);
                let came = entry.receiver.reception().bytes;
                talk.turn(
                    talking,
                    &mut Turn { now, wall, dice, way: Way { address: name.address, ..way }, came, letters },
                );
            }
        }
        letters
    }

    /// The goodbyes to all that are talked to.
    pub fn fall_silent(&mut self, now: Micros) -> Vec<Letter> {
        let (mut letters, wall) = (Vec::new(), self.reporting.wall());
        for (name, entry) in &mut self.entries {
            if let (Some(reports), Some(talk)) = (&entry.reports, entry.answer.talk_mut())
                && let Some(way) = reports.way_of_sound(&self.reporting)
            {
                talk.goodbye(Way { address: name.address, ..way }, now, wall, &mut letters);
            }
            entry.answer = Answer::None;
        }
        letters
    }
}

impl Entry {
    fn begin(
        &self,
        name: &Name,
        config: &ServerConfig,
        opening: Option<&mut Opening>,
        roster: Option<&mut Roster>,
        dice: &mut Dice,
        now: Micros,
    ) -> Result<Talk> {
        // Of its own: under a foreign key, two streams of one SSRC would share a keystream.
        let ssrc = dice.bits() as u32;
        let sealer = opening.map(|opening| {
            opening.sealer_of_sound(name, ssrc).ok_or_else(|| Error::new(ErrorKind::State, "no key for it"))
        });
        let ear = roster.filter(|_| config.conference).map(|roster| {
            let (listener, ear) = Listener::new(self.number, config.audio.format, 2 * PATIENCE);
            let admitted = roster.listen(listener);
            admitted.then_some(ear).ok_or_else(|| Error::new(ErrorKind::State, "too many listen"))
        });
        let packet = self.encoding.format.duration(self.receiver.mean_frames() as u64);
        let (sealer, ear) = (sealer.transpose()?, ear.transpose()?);
        let plan = Plan { encoding: self.encoding, packet, sealer, ssrc, ear };
        Talk::new(config, plan, dice, now)
    }
}
