//! What is tried.

use std::sync::Arc;

use super::BEGIN;
use crate::engine::config::{ClientConfig, Protocol, Redundancy};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;
use crate::engine::playout::live::Bounds;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::tcp::Algorithm;
use crate::engine::stream::sender::Outline;
use crate::engine::time::Micros;

/// An experiment: sound, the way it is sent, the path, the playout.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// How the sound is sent: what a client would be told. Its `network` is not used.
    pub client: ClientConfig,
    /// The path.
    pub link: LinkConfig,
    /// What TCP does about losses.
    pub congestion: Algorithm,
    /// What the playout delay may be.
    pub bounds: Bounds,
    /// The sound, in the client's format, interleaved.
    pub sound: Arc<[i16]>,
    /// Whether what passes is captured.
    pub capture: bool,
}

impl Experiment {
    /// Refuses what cannot be tried.
    pub fn check(&self) -> Result<()> {
        ClientConfig { network: None, ..self.client.clone() }.validated()?;
        if self.client.redundancy == Redundancy::Auto {
            return Err(Error::config(
                "redundancy='auto' follows reports, of which the lab has none: use 0 to 4, or 'opus'",
            ));
        }
        if self.client.key.is_some() {
            return Err(Error::config("the lab sends in clear: leave key out"));
        }
        let frames = self.sound.len() / self.format().channels();
        let most = self.format().rate() as usize * LONGEST_SECONDS;
        if frames == 0 || frames > most || !self.sound.len().is_multiple_of(self.format().channels()) {
            return Err(Error::config(format!(
                "sound must be whole frames, and last more than nothing and at most {LONGEST_SECONDS} s"
            )));
        }
        Ok(())
    }

    /// The sound's format.
    pub fn format(&self) -> Format {
        self.client.audio.format
    }

    /// What is sent. Packets of Opus are all of one length: its arithmetic decides no count.
    pub(super) fn outline(&self) -> Outline {
        let mut outline = Outline::of(&self.client);
        outline.settings.constant = true;
        outline
    }

    /// When the sound is over.
    pub(super) fn end(&self) -> Micros {
        BEGIN + self.format().duration((self.sound.len() / self.format().channels()) as u64)
    }

    pub(super) fn is_datagrams(&self) -> bool {
        self.client.path.protocol == Protocol::Udp
    }
}

/// A lesson's, and what fits into memory many times.
const LONGEST_SECONDS: usize = 3_600;
