use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::engine::audio;
use crate::engine::coding::Coding;
use crate::engine::config::{ClientConfig, Redundancy, Wire};
use crate::engine::playout::live::Bounds;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::presets;

fn experiment(network: &str, seconds: usize) -> Experiment {
    let client = ClientConfig::default();
    let voice = audio::voice(client.audio.format.rate());
    let sound: Vec<i16> = voice.iter().copied().cycle().take(44_100 * seconds).collect();
    Experiment {
        client,
        link: LinkConfig::parse(network).unwrap(),
        bounds: Bounds::default(),
        sound: sound.into(),
    }
}

#[test]
fn over_a_perfect_path_all_is_heard_as_it_was_said() {
    let experiment = experiment("delay=20", 6);
    let outcome = run(&experiment).unwrap();
    let Counts { sent, expected, received, lost, late, frames, frames_heard, frames_concealed, .. } =
        outcome.counts;
    assert_eq!((sent, expected, received, lost, late), (600, 600, 600, 0, 0));
    // The first packet waits until a second one agrees with it.
    assert_eq!((frames, frames_heard, frames_concealed), (599 * 441, 599 * 441, 0));
    assert_eq!((outcome.network.least, outcome.network.most, outcome.jitter_us), (20_000, 20_000, 0));
    // A packet, the path, and to the next pull: the delay of the frame, measured, is what the sound says.
    let delay = outcome.mouth_to_ear.p50;
    assert!((30_000..45_000).contains(&delay), "{delay}");
    let start = outcome.heard.windows(40).position(|w| w == &experiment.sound[4_410..4_450]).unwrap();
    let seen = (start as u64 - 4_410) * 1_000_000 / 44_100 + 3_300;
    assert!(seen.abs_diff(delay) <= 30, "{seen} {delay}");
    assert_eq!(outcome.arrived, &experiment.sound[..]);
}

#[test]
fn what_was_injected_is_what_was_measured() {
    let networks = presets::ALL.map(|p| format!("{},seed=3", p.name)).into_iter().chain([
        "loss=10,burst=3,delay=40,jitter=15,reorder=2,duplicate=3,seed=7".to_string(),
        "loss=30,delay=5,jitter=40,reorder=10,duplicate=10,seed=2".to_string(),
        "loss=2,rate=700k,queue=60,seed=4".to_string(),
    ]);
    for network in networks {
        for redundancy in [Redundancy::None, Redundancy::Copies(1)] {
            let mut experiment = experiment(&network, 12);
            experiment.client.redundancy = redundancy;
            let outcome = run(&experiment).unwrap();
            let (counts, injected) = (outcome.counts, outcome.injected);
            assert_eq!(counts.lost + injected.unseen, injected.lost + injected.overflowed, "{network}");
            assert_eq!(counts.duplicated, injected.duplicated, "{network}");
            assert_eq!(counts.reordered, injected.overtaken, "{network}");
            assert_eq!(counts.malformed, 0, "{network}");
            let states = |state| outcome.trace.iter().filter(|entry| entry.state == state).count() as u64;
            assert_eq!(states(State::Late), counts.late, "{network}");
            assert_eq!(states(State::Repaired), counts.repaired, "{network}");
            assert_eq!(
                states(State::Repaired) + states(State::Lost),
                counts.lost + injected.unseen,
                "{network}"
            );
        }
    }
}

#[test]
fn every_way_of_sending_gets_through() {
    let ways: [(&str, fn(&mut ClientConfig)); 6] = [
        ("l16", |_| {}),
        ("classic", |c| c.wire = Wire::Classic),
        ("pcmu", |c| c.codec = Coding::Pcmu),
        ("copies", |c| c.redundancy = Redundancy::Copies(2)),
        #[cfg(feature = "opus")]
        ("opus", |c| {
            c.codec = Coding::Opus;
            c.ptime = Some(Duration::from_millis(20));
        }),
        #[cfg(feature = "opus")]
        ("beside", |c| c.redundancy = Redundancy::Opus),
        #[cfg(not(feature = "opus"))]
        ("same", |_| {}),
        #[cfg(not(feature = "opus"))]
        ("again", |_| {}),
    ];
    for (name, set) in ways {
        let mut experiment = experiment("loss=5,delay=30,jitter=3,seed=1", 9);
        set(&mut experiment.client);
        let outcome = run(&experiment).unwrap();
        let missing = outcome.judgement.missing_ppm;
        let most = if matches!(name, "copies" | "opus") { 30_000 } else { 80_000 };
        assert!(missing < most, "{name}: {missing}");
        assert!((6_000..9_320).contains(&outcome.judgement.r), "{name}: {}", outcome.judgement.r);
        assert!(outcome.judgement.r >= outcome.judgement.r_bare, "{name}");
        let delay = outcome.mouth_to_ear;
        assert!((40_000..150_000).contains(&delay.p50) && delay.p95 < 200_000, "{name}: {delay:?}");
        assert_eq!(outcome.format, experiment.format());
        let length = outcome.heard.len() as f64 / experiment.sound.len() as f64;
        assert!((0.95..1.1).contains(&length), "{name}: {length}");
        assert_eq!(run(&experiment).unwrap().counts, outcome.counts, "{name}");
    }
}

#[test]
fn an_experiment_is_checked_before_it_is_tried() {
    let mut silent = experiment("loss=1", 1);
    silent.sound = Arc::from([]);
    assert!(run(&silent).unwrap_err().message().contains("sound must"));
    let mut auto = experiment("loss=1", 1);
    auto.client.redundancy = Redundancy::Auto;
    assert!(run(&auto).unwrap_err().message().contains("'auto'"));
}
