//! Paths with names. Each says where its figures come from; what is 'ours' is a judgement, not a measurement.

use std::time::Duration;

use super::config::{Burst, LinkConfig, Loss};
use super::draw::Share;

/// A path with a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What `network=` calls it.
    pub name: &'static str,
    /// What it stands for, in one line.
    pub about: &'static str,
    /// Where its figures come from.
    pub source: &'static str,
    /// Its settings, seed 0.
    pub config: LinkConfig,
}

/// The preset called `name`, in any case.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|p| p.name.eq_ignore_ascii_case(name))
}

/// All presets, from the best to the worst.
pub const ALL: [Preset; 5] = [
    Preset {
        name: "lan",
        about: "a wired network in one house",
        source: "ours",
        config: LinkConfig { delay: us(200), jitter: us(50), ..PERFECT },
    },
    Preset {
        name: "wifi",
        about: "a busy wireless network: short bursts of loss, a stall when a station looks at other channels",
        source: "ours",
        config: LinkConfig {
            loss: bursts(5_000, 2_000),
            delay: us(3_000),
            jitter: us(3_000),
            spike: Share(300),
            spike_delay: us(80_000),
            ..PERFECT
        },
    },
    Preset {
        name: "cellular",
        about: "a mobile network in motion",
        source: "loss and the bound on delay (100 ms) after 3GPP TS 23.203 table 6.1.7, QCI 1; the rest ours",
        config: LinkConfig {
            loss: bursts(10_000, 3_000),
            delay: us(50_000),
            jitter: us(10_000),
            spike: Share(500),
            spike_delay: us(120_000),
            reorder: Share(1_000),
            ..PERFECT
        },
    },
    Preset {
        name: "satellite",
        about: "a geostationary satellite",
        source: "delay after ITU-T G.114 annex A (260 ms; 36,000 km up and down are 240 ms of light); the rest ours",
        config: LinkConfig { loss: bursts(5_000, 5_000), delay: us(260_000), jitter: us(5_000), ..PERFECT },
    },
    Preset {
        name: "congested",
        about: "a link whose queues are full: long waits, losses in bursts, packets doubled and overtaken",
        source: "ours; its delay variation is beyond ITU-T Y.1541 class 0 (50 ms)",
        config: LinkConfig {
            loss: bursts(50_000, 3_000),
            delay: us(60_000),
            jitter: us(20_000),
            spike: Share(1_000),
            spike_delay: us(150_000),
            reorder: Share(5_000),
            duplicate: Share(1_000),
            ..PERFECT
        },
    },
];

const PERFECT: LinkConfig = LinkConfig {
    seed: 0,
    loss: Loss::Independent(Share(0)),
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
    spike: Share(0),
    spike_delay: us(100_000),
    reorder: Share(0),
    reorder_delay: us(25_000),
    duplicate: Share(0),
    bottleneck: None,
    trace: None,
};

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn bursts(loss: u32, length_thousandths: u32) -> Loss {
    Loss::Burst(Burst { loss: Share(loss), length_thousandths, density: Share::ALL, scatter: Share(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_parsed_by_its_name() {
        for preset in ALL {
            assert_eq!(LinkConfig::parse(preset.name).unwrap(), preset.config);
            assert_eq!(LinkConfig::parse(&preset.name.to_uppercase()).unwrap(), preset.config);
        }
    }
}
