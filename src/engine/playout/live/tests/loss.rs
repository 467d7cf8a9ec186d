//! Packets that are lost or late.

use super::*;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::presets;

#[test]
fn late_loss_is_one_in_a_hundred_at_most_on_every_preset() {
    for preset in presets::ALL {
        for (packet, block, seed) in [(441, 441, 1), (220, 220, 2), (110, 441, 3), (882, 220, 4)] {
            let length = 90 * S;
            let link = LinkConfig { seed, ..preset.config };
            let scenario = scenario(packet, length).link(link);
            let mut rig = Rig::new(&scenario, block, Bounds::default());
            rig.sound = silence;
            let mut early = Playback::default();
            let (mut target, mut delay, mut count) = (0.0, 0.0, 0.0);
            for call in calls(card(block), length) {
                let h = rig.pull(call);
                if h.at.since(START) < 30 * S {
                    early = h.figures;
                } else {
                    target += h.figures.delay_target_ms;
                    delay += h.figures.delay_ms;
                    count += 1.0;
                }
            }
            let f = rig.figures();
            let packets = (60 * RATE / packet) as f64;
            let late = (f.late_packets - early.late_packets) as f64 / packets * 100.0;
            let underruns = (f.underruns - early.underruns) as f64 / packets * 100.0;
            println!(
                "{:10} {packet:3}/{block:3}: late {late:.2} %, waited for {underruns:.2} %, delay {:.1} of {:.1} ms, \
                 concealed {:.2} %, shortened {:.2} %, lengthened {:.2} %, resets {}",
                preset.name,
                delay / count,
                target / count,
                f.frames_concealed as f64 / (90.0 * f64::from(RATE)) * 100.0,
                f.frames_accelerated as f64 / (90.0 * f64::from(RATE)) * 100.0,
                f.frames_expanded as f64 / (90.0 * f64::from(RATE)) * 100.0,
                f.resets
            );
            assert!(late + underruns <= 1.0, "{}: {late} + {underruns} %", preset.name);
        }
    }
}
