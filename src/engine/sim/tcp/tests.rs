//! The model as a whole: nothing lost, nothing twice, whatever the link; and as fast as theory says.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::{Direction, Draw, Kind};
use crate::engine::time::Micros;

const RENO: TcpConfig = TcpConfig {
    algorithm: Algorithm::Reno,
    mss: 1448,
    send_buffer: 4 << 20,
    unsent_limit: None,
    nodelay: true,
    receive_window: 6 << 20,
};

fn link(text: &str) -> LinkConfig {
    LinkConfig::parse(text).unwrap()
}

/// The byte at a place of the stream.
fn byte(place: u64) -> u8 {
    Draw::new(1, Direction::Up, Kind::Other, place / 8).0.to_le_bytes()[(place % 8) as usize]
}

/// Writes without end for `seconds`, and returns the bytes delivered a second.
fn bulk(config: TcpConfig, link: LinkConfig, seconds: u64) -> (f64, TcpCounts) {
    let mut path = TcpPath::new(config, link);
    let chunk = vec![0; 64 << 10];
    let end = Micros(seconds * 1_000_000);
    path.write(Micros(0), &chunk);
    while let Some(at) = path.poll().filter(|&at| at < end) {
        path.advance(at, &mut |_, _| {});
        while path.unsent() < chunk.len() && path.room() > 0 {
            path.write(at, &chunk);
        }
    }
    let counts = path.counts();
    (counts.delivered as f64 / seconds as f64, counts)
}

/// Frames of 896 bytes each 10 ms, and the delay of each from its writing to its delivery, microseconds.
fn audio(config: TcpConfig, link: LinkConfig, frames: u64) -> (Vec<u64>, TcpCounts) {
    const FRAME: u64 = 896;
    let mut path = TcpPath::new(config, link);
    let (mut delays, mut got) = (Vec::new(), 0);
    let mut arrive = |at: Micros, bytes: &[u8]| {
        got += bytes.len() as u64;
        while (delays.len() as u64 + 1) * FRAME <= got {
            delays.push(at.0 - delays.len() as u64 * 10_000);
        }
    };
    for n in 0..frames {
        let now = Micros(n * 10_000);
        path.advance(now, &mut arrive);
        path.write(now, &[0; FRAME as usize]);
    }
    while let Some(at) = path.poll() {
        path.advance(at, &mut arrive);
    }
    let counts = path.counts();
    (delays, counts)
}

/// Mathis, Semke, Mahdavi, Ott: the macroscopic behavior of the TCP congestion avoidance algorithm. Bytes a second.
fn mathis(mss: f64, rtt: f64, loss: f64) -> f64 {
    mss / rtt * 1.22 / loss.sqrt()
}

/// The mean of ten seeds, against Mathis' formula.
fn against_mathis(algorithm: Algorithm, loss: u32) -> f64 {
    let rates = (0..10).map(|seed| {
        let config = TcpConfig { algorithm, ..RENO };
        bulk(config, link(&format!("loss={loss},delay=40,seed={seed}")), 60).0
    });
    rates.sum::<f64>() / 10.0 / mathis(1448.0, 0.08, f64::from(loss) / 100.0)
}

#[test]
fn bulk_is_as_fast_as_theory_says() {
    for algorithm in [Algorithm::Reno, Algorithm::Cubic] {
        for loss in [1, 2, 5] {
            let share = against_mathis(algorithm, loss);
            assert!((0.5..2.0).contains(&share), "{algorithm:?}, {loss} %: {share:.2}");
        }
        let share = against_mathis(algorithm, 10);
        assert!((0.4..1.0).contains(&share), "{algorithm:?}, 10 %: {share:.2}");
    }
}

#[test]
fn over_a_perfect_path_sound_is_late_by_the_path_alone() {
    let (delays, counts) = audio(TcpConfig::default(), link("delay=40"), 1000);
    assert_eq!(delays.len(), 1000);
    assert!(delays.iter().all(|&d| d == 40_000));
    assert_eq!((counts.segments, counts.retransmissions, counts.timeouts), (1000, 0, 0));
}

#[test]
fn the_same_seed_gives_the_same_microseconds() {
    let run = || {
        audio(
            TcpConfig::default(),
            link("loss=5,burst=2,delay=30,jitter=10,reorder=2,duplicate=1,seed=4"),
            1500,
        )
    };
    assert_eq!(run(), run());
}

/// What a stalled connection sends while nothing arrives: the timeout is 200 ms above the round trip and doubles.
#[test]
fn a_lost_flight_stalls_for_200_ms_at_least_and_doubles() {
    let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = times.clone();
    let mut path = TcpPath::new(RENO, link("loss=100,delay=40"))
        .tapped(move |wire| seen.lock().unwrap().push((wire.at.0 / 1000, wire.segment.seq)));
    for n in 0..4 {
        path.advance(Micros(n * 10_000), &mut |_, _| {});
        path.write(Micros(n * 10_000), &[0; 896]);
    }
    path.advance(Micros(10_000_000), &mut |_, _| {});
    let times = times.lock().unwrap();
    let again: Vec<u64> = times[4..].iter().map(|t| t.0).collect();
    // A tail loss probe after two round trips, then the oldest, ever later.
    assert_eq!(times[4].1, 3 * 896);
    assert_eq!(again[0], 192);
    assert!(again[1] >= 240, "{again:?}");
    let waits: Vec<u64> = again[1..].windows(2).map(|w| w[1] - w[0]).collect();
    assert!(waits[0] >= 400 && waits.windows(2).all(|w| w[1].abs_diff(2 * w[0]) <= 1), "{waits:?}");
    assert_eq!(path.counts().timeouts as usize, again.len() - 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever the link: all that was written arrives, once, in order, and then the connection rests.
    #[test]
    fn all_that_is_written_arrives_once_and_in_order(
        seed: u64, reno: bool, nodelay: bool, loss in 0u32..30, burst in 1u32..5, reorder in 0u32..20, duplicate in 0u32..20,
        delay in 0u32..200, jitter in 0u32..50, rate in prop::option::of(64u32..5000), mss in 1usize..2000,
        buffer in 1usize..100_000, window in 2000usize..100_000,
        writes in prop::collection::vec((0u64..100_000, 1usize..20_000), 1..40),
    ) {
        let mut text = format!("loss={loss},burst={burst},reorder={reorder},duplicate={duplicate},delay={delay},jitter={jitter},seed={seed}");
        if let Some(rate) = rate {
            text = format!("{text},rate={rate}k,queue=200");
        }
        let algorithm = if reno { Algorithm::Reno } else { Algorithm::Cubic };
        let mss = mss.max(100);
        let config = TcpConfig { algorithm, mss, nodelay, send_buffer: buffer, receive_window: window, ..RENO };
        let mut path = TcpPath::new(config, link(&text));
        let (mut now, mut written, mut got) = (Micros(0), 0u64, 0u64);
        let mut last = Micros(0);
        let mut read = |at: Micros, bytes: &[u8]| {
            assert!(at >= last);
            last = at;
            for &b in bytes {
                assert_eq!(b, byte(got));
                got += 1;
            }
        };
        for (wait, size) in writes {
            now = now + Duration::from_micros(wait);
            path.advance(now, &mut read);
            let bytes: Vec<u8> = (written..written + size as u64).map(byte).collect();
            let room = path.room();
            let taken = path.write(now, &bytes);
            prop_assert_eq!(taken, room.min(size));
            written += taken as u64;
            prop_assert!(path.buffered() <= buffer);
        }
        let mut steps = 0;
        while let Some(at) = path.poll() {
            path.advance(at, &mut read);
            steps += 1;
            prop_assert!(steps < 1_000_000, "{:?}", path);
        }
        prop_assert_eq!(got, written);
        let counts = path.counts();
        prop_assert_eq!((counts.written, counts.acknowledged, counts.delivered), (written, written, written));
        prop_assert_eq!(path.buffered(), 0);
    }
}
