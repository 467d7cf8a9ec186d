use super::*;
use crate::engine::record::tap::TapRecorder;

const RATE: f64 = 44_100.0;

/// A sound that is different at every moment: what is heard and said at `seconds`.
fn sound(seconds: f64) -> i16 {
    let at = seconds * 1_000.0;
    let step = |n: f64| f64::from((n as u32).wrapping_mul(0x9e37_79b9) >> 18) - 8_192.0;
    (step(at.floor()) + (step(at.floor() + 1.0) - step(at.floor())) * at.fract()) as i16
}

/// Milliseconds, from -3 to 3.
fn jitter(n: u64) -> f64 {
    f64::from((n as u32).wrapping_mul(0x85eb_ca6b) >> 16) / 65_536.0 * 6.0 - 3.0
}

fn at(seconds: f64) -> Micros {
    Micros(3_600_000_000 + (seconds * 1e6) as u64)
}

#[allow(clippy::disallowed_methods, reason = "the recorder's thread writes in real time")]
fn nap(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// How far the right channel is behind the left, ms, where they are most alike.
fn lag(pairs: &[(i16, i16)]) -> f64 {
    let reach = 1_000;
    let alike = |shift: i64| -> f64 {
        let range = reach as usize..pairs.len() - reach as usize;
        range
            .step_by(7)
            .map(|n| f64::from(pairs[n].0) * f64::from(pairs[(n as i64 + shift) as usize].1))
            .sum()
    };
    let best = (-reach..reach).step_by(4).max_by(|a, b| alike(*a).total_cmp(&alike(*b)));
    best.unwrap() as f64 / RATE * 1e3
}

/// Both sides as they are recorded for `seconds`, the speaker's clock `ppm` fast and with gaps in its calls where `stops`.
fn recorded(name: &str, seconds: u64, ppm: f64, stops: impl Fn(f64) -> bool) -> Vec<(i16, i16)> {
    let folder = std::env::temp_dir().join(format!("audiostream-{}-overheard-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (heard_tap, _heard) = TapRecorder::new(Format::DEFAULT).unwrap();
    let (both_tap, both) = TapRecorder::new(Format::STEREO).unwrap();
    let (mut overheard, mut beside) = Overheard::new(Format::DEFAULT, Clock::new(), heard_tap, both_tap);
    both.start(&folder, Some(seconds * 44_100)).unwrap();
    let (mut played, mut captured) = (0u64, 0u64);
    let speaker = RATE * (1.0 + ppm / 1e6);
    // Half a second more, for the speaker began earlier.
    while captured < (seconds + 1) * 44_100 {
        let (play, capture) = (played as f64 / speaker, 0.5 + (captured + 441) as f64 / RATE);
        if play <= capture {
            let block: Vec<f32> =
                (played..played + 512).map(|n| f32::from(sound(n as f64 / speaker)) / 32_768.0).collect();
            if !stops(play) {
                overheard.take(at(play + 0.01 + jitter(played) / 1e3), &block);
            }
            played += 512;
        } else {
            let block: Vec<i16> = (captured..captured + 441).map(|n| sound(0.5 + n as f64 / RATE)).collect();
            beside.push_at(&block, at(capture + 0.01 + jitter(captured ^ 0x5555) / 1e3));
            captured += 441;
            // The disk keeps up with sound, not with a loop.
            while both.state().recording && both.state().frames + 4 * 44_100 < captured {
                nap(5);
            }
        }
    }
    drop((overheard, beside));
    while both.state().recording {
        nap(5);
    }
    let last = both.state().last.unwrap();
    assert_eq!((last.frames, both.state().dropped_frames), (seconds * 44_100, 0));
    let bytes = std::fs::read(&last.path).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let pcm = &bytes[bytes.len() - last.frames as usize * 4..];
    let word = |b: &[u8]| i16::from_le_bytes([b[0], b[1]]);
    pcm.chunks_exact(4).map(|pair| (word(&pair[..2]), word(&pair[2..]))).collect()
}

#[test]
fn what_is_heard_lies_beside_what_is_said_at_that_moment_whatever_the_clocks() {
    for (name, ppm) in [("slow", -200.0), ("same", 0.0), ("fast", 200.0)] {
        let pairs = recorded(name, 30, ppm, |_| false);
        for (second, pairs) in pairs.chunks_exact(44_100).enumerate().skip(1) {
            let lag = lag(pairs);
            assert!(lag.abs() < 8.0, "{ppm} ppm, second {second}: {lag} ms");
        }
    }
}

#[test]
fn after_a_speaker_that_stood_still_they_keep_step_again() {
    let pairs = recorded("stopped", 10, 0.0, |seconds| (3.0..5.0).contains(&seconds));
    for (second, pairs) in pairs.chunks_exact(44_100).enumerate().filter(|(n, _)| [1, 6, 7, 8].contains(n)) {
        let lag = lag(pairs);
        assert!(lag.abs() < 8.0, "second {second}: {lag} ms");
    }
    let silent = &pairs[(44_100.0 * 3.2) as usize..44_100 * 4];
    assert!(silent.iter().all(|pair| pair.1 == 0));
}
