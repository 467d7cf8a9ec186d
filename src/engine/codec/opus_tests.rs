//! Tests of `opus.rs` through the decoder and encoder that the rest of the engine sees.

use std::time::Duration;

use proptest::prelude::*;

use crate::engine::codec::{Decoder, Encoder, Settings, Snapshot, toc};
use crate::engine::coding::{Coding, Encoding};
use crate::engine::format::Format;

const PACKET: usize = 960;

fn encoding(channels: usize) -> Encoding {
    Encoding { coding: Coding::Opus, format: Format::opus(channels) }
}

fn decoder(channels: usize) -> Decoder {
    Decoder::new(encoding(channels)).unwrap()
}

fn encoder(channels: usize, settings: Settings) -> Encoder {
    Encoder::new(encoding(channels), settings).unwrap()
}

/// A voice of sorts, the same on all channels: a tone with overtones whose pitch and loudness wander.
fn voice(frames: usize, channels: usize) -> Vec<i16> {
    let mut phase = 0.0f64;
    (0..frames)
        .flat_map(|k| {
            let t = k as f64 / 48_000.0;
            phase += (150.0 + 40.0 * (t * 9.0).sin()) * std::f64::consts::TAU / 48_000.0;
            let sound: f64 = (1..20).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum();
            let sample = sound * 6_000.0 * (1.0 + (t * 23.0).sin()) / 2.0;
            std::iter::repeat_n(sample as i16, channels)
        })
        .collect()
}

fn packets(sound: &[i16], frames: usize, channels: usize, settings: Settings) -> Vec<Vec<u8>> {
    let mut encoder = encoder(channels, settings);
    sound
        .chunks_exact(frames * channels)
        .map(|samples| {
            let mut payload = Vec::new();
            encoder.encode(samples, &mut payload).unwrap();
            payload
        })
        .collect()
}

fn energy(samples: impl Iterator<Item = f64>) -> f64 {
    samples.map(|x| x * x).sum()
}

/// How far `heard` is from `said`, as a share of what was said.
fn error(heard: &[i16], said: &[i16]) -> f64 {
    assert_eq!(heard.len(), said.len());
    let difference = heard.iter().zip(said).map(|(&a, &b)| f64::from(a) - f64::from(b));
    energy(difference) / energy(said.iter().map(|&x| f64::from(x)))
}

/// `heard` against `said`, later by the codec's delay, which is found.
fn error_when_aligned(heard: &[i16], said: &[i16], channels: usize) -> f64 {
    (0..600)
        .step_by(2)
        .map(|delay| {
            let delay = delay * channels;
            error(
                &heard[4_800 * channels + delay..][..9_600 * channels],
                &said[4_800 * channels..][..9_600 * channels],
            )
        })
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn sound_passes_at_every_length_of_a_packet() {
    for channels in [1, 2] {
        let said = voice(24_000, channels);
        for frames in [120, 240, 480, 960, 1_920, 2_880] {
            let mut decoder = decoder(channels);
            let mut heard = Vec::new();
            for payload in packets(&said, frames, channels, Settings::default()) {
                assert_eq!(decoder.frames(&payload), Some(frames as u32));
                assert!(decoder.decode(&payload, &mut heard));
            }
            assert_eq!(heard.len(), said.len() / (frames * channels) * frames * channels);
            let error = error_when_aligned(&heard, &said, channels);
            assert!(error < 0.3, "{frames} frames, {channels} channels: {error}");
        }
    }
}

#[test]
fn length_bandwidth_and_channels_may_change_in_mid_stream() {
    for channels in [1, 2] {
        let mut decoder = decoder(channels);
        let mut heard = Vec::new();
        let mut expected = 0;
        for (k, (theirs, frames, bitrate)) in [
            (1, 960, 64_000),
            (2, 2_880, 96_000),
            (1, 120, 64_000),
            (1, 960, 8_000),
            (2, 240, 128_000),
            (2, 1_920, 16_000),
        ]
        .into_iter()
        .cycle()
        .take(30)
        .enumerate()
        {
            let settings = Settings { bitrate, ..Settings::default() };
            for payload in packets(&voice(frames * 3, theirs), frames, theirs, settings) {
                if k % 4 == 3 {
                    decoder.bridge(frames as u32, &payload, &mut heard);
                    expected += frames;
                }
                assert!(decoder.decode(&payload, &mut heard));
                expected += frames;
                assert_eq!(heard.len(), expected * channels);
            }
        }
    }
}

#[test]
fn silence_is_sent_as_packets_of_two_bytes_at_most() {
    let settings = Settings { dtx: true, ..Settings::default() };
    let mut sound = voice(48_000, 1);
    sound.resize(3 * 48_000, 0);
    let payloads = packets(&sound, PACKET, 1, settings);
    let short = payloads.iter().filter(|payload| payload.len() <= 2).count();
    assert!(short > 50, "{short} of {} are short", payloads.len());
    let mut decoder = decoder(1);
    let mut heard = Vec::new();
    for payload in &payloads {
        assert!(decoder.decode(payload, &mut heard));
    }
    assert_eq!(heard.len(), sound.len());
    let loudest = heard[2 * 48_000..].iter().map(|x| x.unsigned_abs()).max();
    assert!(loudest < Some(100), "{loudest:?}");
}

#[test]
fn the_packet_after_a_loss_repairs_it() {
    let said = voice(48_000, 1);
    let payloads = packets(&said, PACKET, 1, Settings { loss_percent: 20, ..Settings::default() });
    let mut whole = Vec::new();
    let mut all = decoder(1);
    let (mut with, mut without, mut repaired_packets) = (0.0, 0.0, 0);
    for k in 1..payloads.len() {
        assert!(all.decode(&payloads[k - 1], &mut whole));
        if k < 10 || k + 1 >= payloads.len() {
            continue;
        }
        let mut before = Snapshot::default();
        all.snapshot(&mut before);
        let mut truth = Vec::new();
        assert!(all.decode(&payloads[k], &mut truth));
        all.restore(&before);
        let mut repair = Vec::new();
        // Where the encoder hears no voice it spends nothing on redundancy.
        if all.bridge(PACKET as u32, &payloads[k + 1], &mut repair) > 0 {
            let mut guess = Vec::new();
            all.restore(&before);
            assert_eq!(all.bridge(PACKET as u32, &[], &mut guess), 0);
            with += error(&repair, &truth);
            without += error(&guess, &truth);
            repaired_packets += 1;
        }
        all.restore(&before);
    }
    assert!(repaired_packets > 20, "{repaired_packets} of {}", payloads.len());
    assert!(with < without / 2.0, "repaired {with}, made up {without}");
}

#[test]
fn a_hole_is_bridged_to_the_frame() {
    let payloads = packets(&voice(48_000, 2), PACKET, 2, Settings::default());
    for frames in [1, 119, 120, 959, 960, 961, 2_880, 4_000, 9_600, 9_601, 100_000, u32::MAX] {
        let mut decoder = decoder(2);
        let mut heard = Vec::new();
        for payload in &payloads[..10] {
            decoder.decode(payload, &mut heard);
        }
        heard.clear();
        heard.push(7);
        let repaired = decoder.bridge(frames, &payloads[20], &mut heard);
        let appended = frames.min(Decoder::MAX_BRIDGE_FRAMES) as usize * 2;
        assert_eq!((heard.len(), heard[0]), (1 + appended, 7), "{frames} frames");
        assert_eq!(
            repaired >= PACKET as u32,
            frames >= PACKET as u32,
            "{frames} frames, {repaired} repaired"
        );
        assert!(decoder.decode(&payloads[20], &mut heard));
    }
}

#[test]
fn of_a_hole_too_long_to_bridge_only_what_is_repaired_sounds() {
    let payloads = packets(&voice(48_000, 1), PACKET, 1, Settings::default());
    let mut decoder = decoder(1);
    let mut heard = Vec::new();
    for payload in &payloads[..20] {
        decoder.decode(payload, &mut heard);
    }
    heard.clear();
    let repaired = decoder.bridge(48_000, &payloads[30], &mut heard) as usize;
    assert!(repaired >= PACKET);
    let (silent, sounding) = heard.split_at(heard.len() - repaired);
    assert!(silent.iter().all(|&x| x == 0));
    assert!(sounding.iter().any(|&x| x != 0));
}

#[test]
fn a_packet_that_was_only_late_is_decoded_after_all() {
    let payloads = packets(&voice(24_000, 2), PACKET, 2, Settings::default());
    let (mut whole, mut in_order) = (Vec::new(), decoder(2));
    for payload in &payloads[..12] {
        assert!(in_order.decode(payload, &mut whole));
    }
    let (mut live, mut heard, mut before) = (decoder(2), Vec::new(), Snapshot::default());
    for payload in &payloads[..10] {
        assert!(live.decode(payload, &mut heard));
    }
    live.snapshot(&mut before);
    live.bridge(PACKET as u32, &payloads[11], &mut heard);
    assert!(live.decode(&payloads[11], &mut heard));
    let (mut second, mut late) = (decoder(2), Vec::new());
    second.restore(&before);
    assert!(second.decode(&payloads[10], &mut late));
    assert!(late == whole[10 * PACKET * 2..11 * PACKET * 2], "as if it had come in time");
}

#[test]
fn a_snapshot_of_another_format_changes_nothing() {
    let payloads = packets(&voice(4_800, 1), PACKET, 1, Settings::default());
    let mut stereo = Snapshot::default();
    decoder(2).snapshot(&mut stereo);
    let (mut one, mut other) = (decoder(1), decoder(1));
    let (mut heard, mut expected) = (Vec::new(), Vec::new());
    for payload in &payloads {
        one.restore(&stereo);
        one.restore(&Snapshot::default());
        assert!(one.decode(payload, &mut heard));
        assert!(other.decode(payload, &mut expected));
    }
    assert!(heard == expected);
}

#[test]
fn what_opus_does_not_have_is_refused() {
    let at = |rate| Encoding { coding: Coding::Opus, format: Format::new(rate, 1).unwrap() };
    assert!(Decoder::new(at(44_100)).err().unwrap().message().contains("48000 Hz"));
    assert!(Encoder::new(at(44_100), Settings::default()).is_err());
    for bitrate in [5_999, 510_001] {
        let settings = Settings { bitrate, ..Settings::default() };
        assert!(Encoder::new(encoding(1), settings).err().unwrap().message().contains("bitrate"));
    }
    let mut out = vec![3];
    for frames in [0, 1, 441, 961, 4_800] {
        assert!(encoder(1, Settings::default()).encode(&vec![0; frames], &mut out).is_err());
    }
    assert!(encoder(2, Settings::default()).encode(&vec![0; 961], &mut out).is_err());
    assert_eq!(out, [3]);
}

#[test]
fn no_packet_is_too_long_for_a_datagram() {
    let mut noise = 1u32;
    let sound: Vec<i16> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 16) as i16
    })
    .take(2_880 * 2 * 5)
    .collect();
    for payload in packets(&sound, 2_880, 2, Settings { bitrate: 510_000, ..Settings::default() }) {
        assert!(payload.len() <= toc::MAX_FRAME_BYTES, "{} bytes", payload.len());
    }
}

#[test]
fn reported_loss_turns_redundancy_on() {
    let mut encoder = encoder(1, Settings { loss_percent: 0, ..Settings::default() });
    let (mut decoder, mut heard) = (decoder(1), Vec::new());
    let mut repaired = [0, 0];
    for (k, samples) in voice(96_000, 1).chunks_exact(PACKET).enumerate() {
        if k == 50 {
            encoder.adjust(Settings { loss_percent: 200, ..Settings::default() }).unwrap();
        }
        let mut payload = Vec::new();
        encoder.encode(samples, &mut payload).unwrap();
        repaired[k / 50] += decoder.bridge(PACKET as u32, &payload, &mut heard);
        decoder.decode(&payload, &mut heard);
    }
    assert_eq!(repaired[0], 0);
    assert!(repaired[1] > 40 * PACKET as u32, "{} frames", repaired[1]);
}

#[test]
fn deep_redundancy_repairs_several_packets() {
    let dred = Duration::from_millis(200);
    let mut encoder = encoder(1, Settings { loss_percent: 20, dred, ..Settings::default() });
    let said = voice(96_000, 1);
    let (mut decoder, mut heard, mut repaired) = (decoder(1), Vec::new(), Vec::new());
    for (k, samples) in said.chunks_exact(PACKET).enumerate() {
        let mut payload = Vec::new();
        encoder.encode(samples, &mut payload).unwrap();
        match k % 10 {
            6..9 => continue,
            9 => repaired.push(decoder.bridge(3 * PACKET as u32, &payload, &mut heard)),
            _ => {}
        }
        assert!(decoder.decode(&payload, &mut heard));
    }
    assert_eq!(heard.len(), said.len());
    let all = repaired.iter().filter(|&&frames| frames == 3 * PACKET as u32).count();
    assert!(all >= repaired.len() / 2, "{repaired:?}");
}

/// A payload that gets past the first byte more often than chance would have it.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let valid = packets(&voice(9_600, 2), PACKET, 2, Settings::default());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1_500),
        prop::collection::vec(any::<u8>(), 0..4),
        (
            0..valid.len(),
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            any::<prop::sample::Index>()
        )
            .prop_map(move |(k, changes, end)| {
                let mut payload = valid[k].clone();
                for (at, byte) in changes {
                    *at.get_mut(&mut payload) = byte;
                }
                payload.truncate(end.index(payload.len() * 2));
                payload
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn libopus_believes_what_we_believe(packet in payload()) {
        prop_assert_eq!(toc::frames(&packet), super::frames_by_libopus(&packet));
    }

    #[test]
    fn any_payloads_are_decoded_or_refused(
        channels in 1..=2usize,
        steps in prop::collection::vec((payload(), 0..20_000u32, 0..4u8), 1..8),
    ) {
        let mut decoder = decoder(channels);
        let mut snapshot = Snapshot::default();
        for (payload, hole, choice) in steps {
            let mut out = Vec::new();
            if choice == 0 {
                decoder.snapshot(&mut snapshot);
            }
            let repaired = decoder.bridge(hole, &payload, &mut out);
            let bridged = hole.min(Decoder::MAX_BRIDGE_FRAMES);
            prop_assert!(repaired <= bridged);
            prop_assert_eq!(out.len(), bridged as usize * channels);
            out.clear();
            let decoded = decoder.decode(&payload, &mut out);
            prop_assert!(!decoded || toc::frames(&payload).is_some());
            let frames = if decoded { toc::frames(&payload).unwrap() } else { 0 };
            prop_assert_eq!(out.len(), frames as usize * channels);
            if choice == 1 {
                decoder.restore(&snapshot);
            }
        }
    }
}
