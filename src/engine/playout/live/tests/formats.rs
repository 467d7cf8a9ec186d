//! Other rates, two channels, packets of all lengths: with losses, through everything.

use super::*;
use crate::engine::format::to_f32;

/// One tone to the left, another to the right.
#[derive(Clone, Copy)]
struct Tones {
    left: f64,
    right: f64,
}

struct Played {
    sound: Vec<f32>,
    lost_frames: u64,
    figures: Playback,
}

impl Tones {
    /// The sample of a channel at a position of this rate.
    fn at(self, rate: u32, channel: usize, position: u64) -> i16 {
        let hz = if channel == 0 { self.left } else { self.right };
        // Whole seconds are whole periods.
        let time = (position % u64::from(rate)) as f64 / f64::from(rate);
        (12_000.0 * (std::f64::consts::TAU * hz * time).sin()).round() as i16
    }

    /// Sends packets of these lengths, in turn, for `seconds`, each tenth lost after the first second; pulls by 10 ms.
    fn play(self, format: Format, packets: &[usize], tier: Tier, seconds: u32) -> Played {
        let (rate, channels) = (format.rate(), format.channels());
        let block = format.frames(10 * MS);
        let (mut renderer, mut roster, _controls) = Renderer::new(format, 1, block, S).unwrap();
        renderer.set_tier(tier);
        let (mut writer, reader) = packet_queue(256, 2 * (rate as usize) * channels, channels);
        let counters = Arc::<PlayerCounters>::default();
        assert!(roster.add(Player::live(reader, format, 500 * MS, Arc::clone(&counters))));
        let card = SoundCard::new(START - 100 * MS + Duration::from_micros(3_300), rate, block, 0);
        let (mut sent, mut frames, mut lost_frames) = (0u64, 0u64, 0);
        let (mut sound, mut out) = (Vec::new(), vec![0.0; block * channels]);
        for call in card.take_while(|c| c.at.since(START) < S * seconds) {
            loop {
                let length = packets[sent as usize % packets.len()];
                let arrival = START + format.duration(frames + length as u64);
                if arrival > call.at {
                    break;
                }
                let first = (1 << 32) + frames;
                let samples: Vec<i16> = (first..first + length as u64)
                    .flat_map(|p| (0..channels).map(move |c| self.at(rate, c, p)))
                    .collect();
                let head = Head {
                    sequence: sent,
                    position: Position(first),
                    arrival,
                    frames: length as u32,
                    ..Head::default()
                };
                // The last ones come, so that every hole has an end.
                let in_the_middle = frames > u64::from(rate) && frames < u64::from(rate * (seconds - 1));
                if in_the_middle && sent % 10 == 7 {
                    lost_frames += length as u64;
                } else {
                    assert!(writer.push(head, &samples));
                }
                sent += 1;
                frames += length as u64;
            }
            assert_no_alloc(|| renderer.render(call.at, &mut out, Starved::Advance));
            sound.extend_from_slice(&out);
        }
        Played { sound, lost_frames, figures: counters.snapshot() }
    }
}

fn channel(sound: &[f32], channels: usize, which: usize) -> Vec<f32> {
    sound.iter().skip(which).step_by(channels).copied().collect()
}

fn steepest(sound: &[f32]) -> f32 {
    sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
}

const RATES: [u32; 5] = [8_000, 16_000, 44_100, 48_000, 96_000];
const TONES: Tones = Tones { left: 440.0, right: 310.0 };

/// Packets of so many microseconds each; where there are several, in turn.
fn lengths() -> [&'static [u64]; 7] {
    [&[2_500], &[5_000], &[10_000], &[20_000], &[26_667], &[60_000], &[20_000, 20_000, 6_440]]
}

#[test]
fn tones_go_on_through_losses_at_every_rate_and_length_of_packet() {
    for rate in RATES {
        for channels in [1, 2] {
            for micros in lengths() {
                let format = Format::new(rate, channels).unwrap();
                let packets: Vec<usize> =
                    micros.iter().map(|us| format.frames(Duration::from_micros(*us))).collect();
                let tier = if micros[0] <= 5_000 && rate <= 48_000 { Tier::Ar440 } else { Tier::Ar64 };
                let played = TONES.play(format, &packets, tier, 4);
                let label = format!("{rate} Hz, {channels} channels, packets of {micros:?} us");
                let f = played.figures;
                assert!(played.lost_frames > 0, "{label}");
                // Where packets turn out not to be alike, sound had begun too early.
                let more = if micros.len() > 1 { format.frames(10 * MS) as u64 } else { 0 };
                let lost = played.lost_frames..=played.lost_frames + more;
                assert!(lost.contains(&f.frames_concealed), "{label}: {lost:?}, {f:?}");
                assert_eq!((f.late_packets, f.resets), (0, 0), "{label}: {f:?}");
                for (which, hz) in [(0, TONES.left), (1, TONES.right)].into_iter().take(channels as usize) {
                    let sound = channel(&played.sound, channels as usize, which);
                    let start = sound.iter().position(|x| *x != 0.0).unwrap();
                    let sound = &sound[start..];
                    let own = 0.3662 * std::f64::consts::TAU * hz / f64::from(rate);
                    assert!(f64::from(steepest(sound)) < own * 1.5 + 1e-3, "{label}: {which} jumps");
                    // Nowhere is it silent for a period, but within the longest holes.
                    let longest = *micros.iter().max().unwrap();
                    let windows = sound.chunks_exact(format.frames(10 * MS));
                    let quiet = windows.filter(|w| w.iter().all(|x| x.abs() < 0.1)).count();
                    assert!(quiet == 0 || longest > 30_000, "{label}: {which} is quiet {quiet} times");
                }
            }
        }
    }
}

#[test]
fn nothing_leaks_from_a_channel_into_a_silent_one() {
    for rate in [16_000, 44_100, 96_000] {
        for micros in lengths() {
            for tier in [Tier::Ar256, Tier::Pitch] {
                for loud in [0, 1] {
                    let format = Format::new(rate, 2).unwrap();
                    let packets: Vec<usize> =
                        micros.iter().map(|us| format.frames(Duration::from_micros(*us))).collect();
                    let tones = if loud == 0 {
                        Tones { left: 440.0, right: 0.0 }
                    } else {
                        Tones { left: 0.0, right: 440.0 }
                    };
                    let played = tones.play(format, &packets, tier, 3);
                    let label = format!("{rate} Hz, packets of {micros:?} us, {tier:?}, loud {loud}");
                    assert!(played.figures.frames_concealed > 0, "{label}");
                    assert!(channel(&played.sound, 2, 1 - loud).iter().all(|x| *x == 0.0), "{label}");
                    let heard = channel(&played.sound, 2, loud).iter().filter(|x| **x != 0.0).count();
                    assert!(heard > 2 * rate as usize, "{label}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_lost_is_bit_exact_in_stereo_at_every_rate() {
    for rate in RATES {
        // Packets that are not alike begin too early, so that something is put in.
        for micros in lengths().into_iter().filter(|l| l.len() == 1) {
            let format = Format::new(rate, 2).unwrap();
            let packets: Vec<usize> =
                micros.iter().map(|us| format.frames(Duration::from_micros(*us))).collect();
            // Before the first loss.
            let played = TONES.play(format, &packets, Tier::Pitch, 1);
            let start = played.sound.iter().position(|x| *x != 0.0).unwrap() & !1;
            let first = (1u64 << 32)..;
            // A tone begins at zero or not; its place is where both channels agree.
            let at = first
                .take(format.frames(100 * MS))
                .find(|p| {
                    (0..64).all(|n| {
                        let n = n as usize;
                        (0..2).all(|c| {
                            played.sound[start + 2 * n + c] == to_f32(TONES.at(rate, c, p + n as u64))
                        })
                    })
                })
                .unwrap_or_else(|| panic!("{rate} Hz, {micros:?}: the beginning is not found"));
            let wrong = played.sound[start..]
                .chunks_exact(2)
                .enumerate()
                .filter(|(n, frame)| (0..2).any(|c| frame[c] != to_f32(TONES.at(rate, c, at + *n as u64))));
            assert_eq!(wrong.count(), 0, "{rate} Hz, packets of {micros:?} us");
        }
    }
}
