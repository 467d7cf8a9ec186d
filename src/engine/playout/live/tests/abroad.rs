//! Sources of another rate than the output's.

use super::*;
use crate::engine::stream::queue::Position;

fn tone(rate: u32, n: u64) -> f64 {
    (n as f64 * 440.0 * std::f64::consts::TAU / f64::from(rate)).sin() * 0.3
}

#[test]
fn a_source_of_another_rate_is_heard_at_its_pitch_with_little_delay_and_no_drift() {
    for (rate, channels) in [(48_000, 1), (8_000, 1), (96_000, 2), (48_000, 2)] {
        let format = Format::new(rate, channels).unwrap();
        let (mut renderer, mut roster, _) = Renderer::new(Format::DEFAULT, 2, 441, S).unwrap();
        let (mut writer, reader) = packet_queue(1024, 4 * rate as usize, channels.into());
        let counters = Arc::<PlayerCounters>::default();
        let player = Player::live(reader, format, Bounds::default().most, Arc::clone(&counters));
        assert!(roster.add(player.at_rate(RATE).unwrap()));
        let frames = u64::from(rate / 50);
        let mut heard = Vec::new();
        for call in 0..1000u64 {
            if call % 2 == 0 {
                let n = call / 2;
                let samples: Vec<i16> = (n * frames..(n + 1) * frames)
                    .flat_map(|i| vec![(tone(rate, i) * 32_768.0) as i16; channels.into()])
                    .collect();
                let head = Head {
                    sequence: n,
                    position: Position((1 << 32) + n * frames),
                    arrival: START + MS * (call * 10) as u32,
                    frames: frames as u32,
                    ..Head::default()
                };
                assert!(writer.push(head, &samples));
            }
            let mut out = [0.0; 441];
            let now = START + MS * (call * 10 + 3) as u32;
            assert_no_alloc(|| renderer.render(now, &mut out, Starved::Advance));
            heard.extend(out);
        }
        let figures = counters.snapshot();
        assert_eq!(
            (figures.frames_concealed, figures.underruns, figures.late_packets),
            (0, 0, 0),
            "{rate}: {figures:?}"
        );
        assert!(figures.drift_ppm.abs() < 1.0, "{rate}: {figures:?}");
        assert!(figures.delay_ms < 45.0, "{rate}: {figures:?}");
        // Whole seconds hold whole periods: against a sine of any phase.
        let sound = &heard[4 * 44_100..6 * 44_100];
        let (mut a, mut b, mut power) = (0.0, 0.0, 0.0);
        for (n, s) in sound.iter().enumerate() {
            let phase = n as f64 * 440.0 * std::f64::consts::TAU / 44_100.0;
            a += f64::from(*s) * phase.sin();
            b += f64::from(*s) * phase.cos();
            power += f64::from(*s) * f64::from(*s);
        }
        let alike = (a * a + b * b) * 2.0 / sound.len() as f64 / power;
        assert!(alike > 0.999_9, "{rate}: {alike}");
    }
}

#[test]
fn a_file_gets_a_source_of_another_rate_at_its_exact_length() {
    let format = Format::new(48_000, 1).unwrap();
    let (mut renderer, mut roster, _) = Renderer::new(Format::DEFAULT, 2, 441, S).unwrap();
    let (mut writer, reader) = packet_queue(1024, 96_000, 1);
    let player = Player::whole(reader, format, Arc::default()).at_rate(RATE).unwrap();
    assert!(roster.add(player));
    for n in 0..50u64 {
        let samples: Vec<i16> =
            (n * 960..(n + 1) * 960).map(|i| (tone(48_000, i) * 32_768.0) as i16).collect();
        let head = Head {
            sequence: n,
            position: Position((1 << 32) + n * 960),
            frames: 960,
            arrival: START,
            ..Head::default()
        };
        assert!(writer.push(head, &samples));
    }
    drop(writer);
    let mut heard = Vec::new();
    let mut out = [0.0; 441];
    loop {
        let got = renderer.render(START, &mut out, Starved::Drain);
        heard.extend_from_slice(&out[..got]);
        if got == 0 {
            break;
        }
    }
    assert_eq!(heard.len(), 44_100);
    let worst = heard
        .iter()
        .enumerate()
        .skip(200)
        .take(43_600)
        .map(|(n, s)| (f64::from(*s) - tone(44_100, n as u64)).abs());
    assert!(worst.fold(0.0, f64::max) < 0.02);
}
