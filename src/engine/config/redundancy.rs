//! What a client sends twice, so that a loss can be repaired.

use super::{ClientConfig, Protocol, Wire};
use crate::engine::coding::Coding;
use crate::engine::error::{Error, Result};

/// What goes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Redundancy {
    /// Nothing.
    #[default]
    None,
    /// So many copies of every packet, 1 to 4, besides itself.
    Copies(u8),
    /// None while nothing is lost, up to two while the receiver reports losses.
    Auto,
    /// Beside linear PCM, Opus at a low rate.
    Opus,
}

impl Redundancy {
    /// How many copies of a packet may go, besides itself.
    pub const fn most_copies(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Copies(copies) => copies,
            Self::Opus => 1,
            // RFC 2198 in its usual dose: more is seldom worth its bits.
            Self::Auto => 2,
        }
    }

    /// `"0"` to `"4"` copies, `"auto"` or `"opus"`, in any case.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "0" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            "opus" => Ok(Self::Opus),
            other => match other.parse() {
                Ok(copies @ 1..=MOST_COPIES) => Ok(Self::Copies(copies)),
                _ => Err(Error::config(format!(
                    "redundancy must be 0 to {MOST_COPIES} copies, 'auto' or 'opus', not {text:?}"
                ))),
            },
        }
    }
}

/// What no field can say alone.
pub(super) fn check(config: &ClientConfig) -> Result<()> {
    if !(1..=MOST_SPACING).contains(&config.spacing) {
        return Err(Error::config(format!(
            "spacing must be 1 to {MOST_SPACING} packets, not {}",
            config.spacing
        )));
    }
    if let Redundancy::Copies(copies) = config.redundancy
        && !(1..=MOST_COPIES).contains(&copies)
    {
        return Err(Error::config(format!("redundancy must be 0 to {MOST_COPIES} copies, not {copies}")));
    }
    if config.redundancy == Redundancy::None {
        return Ok(());
    }
    if config.wire == Wire::Classic {
        return Err(Error::config("the classic wire has no redundancy: use wire='rtp', or redundancy=0"));
    }
    if config.path.protocol == Protocol::Tcp {
        return Err(Error::config(
            "redundancy repairs what datagrams lose, and TCP repairs by itself: use protocol='udp', or redundancy=0",
        ));
    }
    if config.redundancy == Redundancy::Opus && config.codec != Coding::L16 {
        return Err(Error::config(format!(
            "redundancy='opus' goes beside codec='l16': with codec='{}' use redundancy=1 to {MOST_COPIES}, or 'auto'",
            config.codec.name()
        )));
    }
    Ok(())
}

/// Copies of a packet at most.
const MOST_COPIES: u8 = 4;
/// Packets between a packet and its copy at most.
const MOST_SPACING: u8 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_understood() {
        assert_eq!(Redundancy::parse("0"), Ok(Redundancy::None));
        assert_eq!(Redundancy::parse("4"), Ok(Redundancy::Copies(4)));
        assert_eq!(Redundancy::parse("Auto"), Ok(Redundancy::Auto));
        assert_eq!(Redundancy::parse("opus"), Ok(Redundancy::Opus));
        for wrong in ["5", "-1", "", "1.5", "True", "much"] {
            assert!(Redundancy::parse(wrong).unwrap_err().message().contains("'auto'"), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_says_what_can() {
        let told = |change: &dyn Fn(&mut ClientConfig)| {
            let mut config =
                ClientConfig { redundancy: Redundancy::Copies(1), spacing: 2, ..ClientConfig::default() };
            change(&mut config);
            config.validated().map_err(|error| error.message().to_owned())
        };
        assert!(told(&|_| ()).is_ok());
        assert!(told(&|config| config.wire = Wire::Classic).unwrap_err().contains("wire='rtp'"));
        assert!(told(&|config| config.path.protocol = Protocol::Tcp).unwrap_err().contains("'udp'"));
        assert!(told(&|config| config.spacing = 0).unwrap_err().contains("1 to 50"));
        assert!(told(&|config| config.spacing = 51).unwrap_err().contains("1 to 50"));
        assert!(told(&|config| config.redundancy = Redundancy::Copies(5)).unwrap_err().contains("0 to 4"));
        let opus = told(&|config| {
            config.redundancy = Redundancy::Opus;
            config.codec = Coding::Pcmu;
        });
        assert!(opus.unwrap_err().contains("codec='l16'"));
        let plain = told(&|config| {
            config.redundancy = Redundancy::None;
            config.path.protocol = Protocol::Tcp;
        });
        assert!(plain.is_ok());
    }
}
