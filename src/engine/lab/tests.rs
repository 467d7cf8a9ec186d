use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::engine::audio;
use crate::engine::coding::Coding;
use crate::engine::config::{ClientConfig, Protocol, Redundancy, Wire};
use crate::engine::playout::live::Bounds;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::presets;
use crate::engine::sim::tcp::Algorithm;

fn experiment(network: &str, seconds: usize) -> Experiment {
    let client = ClientConfig::default();
    let voice = audio::voice(client.audio.format.rate());
    let sound: Vec<i16> = voice.iter().copied().cycle().take(44_100 * seconds).collect();
    Experiment {
        client,
        link: LinkConfig::parse(network).unwrap(),
        congestion: Algorithm::default(),
        bounds: Bounds::default(),
        sound: sound.into(),
        capture: false,
    }
}

type Way = fn(&mut ClientConfig);

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
    let ways: [(&str, Way); 6] = [
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
fn over_tcp_nothing_is_lost_and_all_is_late() {
    for (wire, algorithm) in
        [(Wire::Rtp, Algorithm::Cubic), (Wire::Rtp, Algorithm::Reno), (Wire::Classic, Algorithm::Cubic)]
    {
        let mut tcp = experiment("loss=2,delay=40,seed=1", 12);
        tcp.client.path.protocol = Protocol::Tcp;
        tcp.client.wire = wire;
        tcp.congestion = algorithm;
        let mut udp = tcp.clone();
        udp.client.path.protocol = Protocol::Udp;
        let (tcp, udp) = (run(&tcp).unwrap(), run(&udp).unwrap());
        assert_eq!((tcp.counts.sent, tcp.counts.received, tcp.counts.lost), (1_200, 1_200, 0));
        assert_eq!(tcp.counts.malformed, 0);
        let connection = tcp.connection.unwrap();
        assert!(connection.segments_lost > 10 && connection.retransmissions >= connection.segments_lost);
        assert!(tcp.network.p95 > 2 * udp.network.p95, "{:?}", tcp.network);
        assert!(tcp.mouth_to_ear.p95 > udp.mouth_to_ear.p95 + 50_000);
        let capacity = connection.capacity.unwrap();
        assert!(capacity > tcp.bits.need && capacity < 4 * connection.mathis.unwrap());
    }
}

#[test]
fn a_sender_whose_tcp_is_too_slow_drops_the_oldest_sound_and_says_so() {
    let mut tcp = experiment("loss=10,delay=60,seed=1", 20);
    tcp.client.path.protocol = Protocol::Tcp;
    let outcome = run(&tcp).unwrap();
    let counts = outcome.counts;
    assert!(outcome.connection.unwrap().capacity.unwrap() < outcome.bits.need);
    assert!(counts.frames_dropped > 5 * 44_100 && counts.overruns > 10, "{counts:?}");
    assert_eq!((counts.lost, counts.received), (0, counts.sent));
    let dropped = outcome.trace.iter().filter(|entry| entry.state == State::Dropped).count() as u64;
    assert_eq!(counts.frames_dropped, dropped * 441);
    assert_eq!((counts.sent + dropped) * 441, 20 * 44_100);
    // What waited to be sent for a second, and in the socket's buffer besides.
    assert!(outcome.network.most > 1_000_000);
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
