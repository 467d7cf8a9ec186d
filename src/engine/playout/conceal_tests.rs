use super::*;
use proptest::prelude::*;

const PACKET: usize = 441;

fn mono() -> Concealer {
    Concealer::new(Format::DEFAULT)
}

fn sine(hz: f32, frames: usize) -> Vec<f32> {
    let step = f64::from(hz) / 44_100.0 * std::f64::consts::TAU;
    (0..frames).map(|n| ((n as f64 * step).sin() * 0.5) as f32).collect()
}

/// How far `made` is below `true_sound`, in decibels.
fn snr(true_sound: &[f32], made: &[f32]) -> f64 {
    let power = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>();
    let signal = power(&mut true_sound.iter().map(|&x| f64::from(x)));
    let noise = power(&mut true_sound.iter().zip(made).map(|(&a, &b)| f64::from(a - b)));
    10.0 * (signal / noise).log10()
}

#[test]
fn a_hole_in_a_sine_is_filled_with_the_sine() {
    let sound = sine(1_000.0, 10_000);
    for tier in [Tier::Ar440, Tier::Ar256, Tier::Ar128, Tier::Ar64] {
        for packets in 1..=if tier == Tier::Ar440 { 3 } else { 1 } {
            let (from, to) = (5_000, 5_000 + packets * PACKET);
            let mut out = vec![0.0; to - from];
            mono().interpolate(&sound[..from], &sound[to..to + PACKET], 0, &mut out, tier);
            let db = snr(&sound[from..to], &out);
            let least = if packets == 1 { 60.0 } else { 55.0 };
            assert!(db > least, "{tier:?}, {packets} packets: {db} dB");
        }
        let mut out = vec![0.0; PACKET];
        mono().extrapolate(&sound[..5_000], 0, &mut out, tier);
        let db = snr(&sound[5_000..5_000 + PACKET], &out);
        assert!(db > 18.0, "{tier:?}, one-sided: {db} dB");
    }
}

#[test]
fn a_known_process_is_continued() {
    // Three resonances, struck once.
    let mut sound = vec![0.0f64; 4_000];
    sound[0] = 1.0;
    let poles = [(0.05f64, 0.99995f64), (0.21, 0.9999), (0.4, 0.99992)];
    for (angle, radius) in poles {
        let (a, b) = (2.0 * radius * angle.cos(), radius * radius);
        for n in 0..sound.len() {
            sound[n] +=
                if n > 0 { a * sound[n - 1] } else { 0.0 } - if n > 1 { b * sound[n - 2] } else { 0.0 };
        }
    }
    let peak = sound[1_000..].iter().fold(0.0f64, |p, x| x.abs().max(p));
    let sound: Vec<f32> = sound.iter().map(|x| (x / peak * 0.5) as f32).collect();
    let mut out = vec![0.0; PACKET];
    for tier in [Tier::Ar440, Tier::Ar256, Tier::Ar128, Tier::Ar64] {
        mono().extrapolate(&sound[..2_500], 0, &mut out, tier);
        let db = snr(&sound[2_500..2_500 + PACKET], &out);
        assert!(db > 12.0, "{tier:?}, one-sided: {db} dB");
        mono().interpolate(&sound[..2_500], &sound[2_500 + PACKET..3_500], 0, &mut out, tier);
        let db = snr(&sound[2_500..2_500 + PACKET], &out);
        assert!(db > 30.0, "{tier:?}: {db} dB");
    }
}

#[test]
fn a_short_packet_is_filled_with_little_known_behind_it() {
    let sound = sine(1_000.0, 10_000);
    for packet in [110, 220] {
        let mut out = vec![0.0; packet];
        let (from, to) = (5_000, 5_000 + packet);
        for tier in [Tier::Ar440, Tier::Ar256, Tier::Ar128] {
            mono().interpolate(&sound[..from], &sound[to..to + packet], 0, &mut out, tier);
            let db = snr(&sound[from..to], &out);
            assert!(db > 60.0, "{tier:?}, {packet} frames: {db} dB");
        }
    }
}

#[test]
fn silence_stays_silence() {
    for tier in Tier::ALL {
        let mut out = [1.0; 2_000];
        mono().extrapolate(&[0.0; 2_000], 0, &mut out, tier);
        assert!(out.iter().all(|&x| x == 0.0));
        out.fill(1.0);
        mono().interpolate(&[0.0; 2_000], &[0.0; 441], 0, &mut out, tier);
        assert!(out.iter().all(|&x| x == 0.0));
        out.fill(1.0);
        mono().interpolate(&[0.0; 2_000], &[0.0; 441], 0, &mut out[..441], tier);
        assert!(out[..441].iter().all(|&x| x == 0.0));
    }
}

#[test]
fn a_long_hole_is_loud_for_15_ms_and_silent_after_70() {
    let sound = sine(1_000.0, 2_000);
    for tier in Tier::ALL {
        let mut concealer = mono();
        let (hold, silent) = (661, 3_087);
        let mut heard = sound.clone();
        let mut out = [0.0; PACKET];
        for packet in 0..10 {
            concealer.extrapolate(&heard, packet * PACKET, &mut out, tier);
            heard.extend_from_slice(&out);
        }
        let gap = &heard[sound.len()..];
        let peak = |range: std::ops::Range<usize>| gap[range].iter().fold(0.0f32, |p, x| x.abs().max(p));
        assert!((peak(hold - 50..hold) - 0.5).abs() < 0.02, "{tier:?}: {}", peak(hold - 50..hold));
        let half = usize::midpoint(hold, silent);
        assert!((peak(half - 25..half + 25) - 0.22).abs() < 0.04, "{tier:?}: {}", peak(half - 25..half + 25));
        assert!(peak(silent - 50..silent) > 0.0, "{tier:?}");
        assert!(gap[silent..].iter().all(|&x| x == 0.0), "{tier:?}");
    }
}

#[test]
fn a_long_hole_whose_end_is_known_rises_into_it() {
    let sound = sine(440.0, 12_000);
    let mut out = vec![0.0; 6_000];
    mono().interpolate(&sound[..2_000], &sound[8_000..8_882], 0, &mut out, Tier::Ar440);
    assert!(out[3_087..5_559].iter().all(|&x| x == 0.0));
    assert!(snr(&sound[7_900..8_000], &out[5_900..]) > 15.0);
    assert!(snr(&sound[2_000..2_441], &out[..441]) > 30.0);
}

#[test]
fn what_is_filled_after_a_continuation_begins_where_it_ended() {
    let mut sound = sine(300.0, 6_000);
    for (x, other) in sound.iter_mut().zip(sine(1_790.0, 6_000)) {
        *x = (*x + other) * 0.5;
    }
    let steepest = sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    for tier in [Tier::Ar440, Tier::Ar256, Tier::Ar128, Tier::Ar64] {
        let mut concealer = mono();
        let mut heard = sound[..3_000].to_vec();
        for packet in 0..3 {
            let mut out = [0.0; PACKET];
            concealer.extrapolate(&heard, packet * PACKET, &mut out, tier);
            heard.extend_from_slice(&out);
        }
        let mut out = [0.0; PACKET];
        let behind = 3_000 + 4 * PACKET;
        concealer.interpolate(&heard, &sound[behind..behind + PACKET], 3 * PACKET, &mut out, tier);
        heard.extend_from_slice(&out);
        heard.extend_from_slice(&sound[behind..]);
        for (n, w) in heard.windows(2).enumerate() {
            assert!((w[1] - w[0]).abs() < steepest * 1.5, "{tier:?} jumps at {n}");
        }
    }
}

#[test]
fn the_channels_are_concealed_each_for_itself() {
    let (left, right) = (sine(1_000.0, 4_000), sine(310.0, 4_000));
    let both: Vec<f32> = left.iter().zip(&right).flat_map(|(&l, &r)| [l, r]).collect();
    let mut stereo = Concealer::new(Format::new(44_100, 2).unwrap());
    for tier in Tier::ALL {
        let (mut out, mut out_left, mut out_right) = ([0.0; 882], [0.0; 441], [0.0; 441]);
        stereo.interpolate(&both[..4_000], &both[4_882..6_000], 0, &mut out, tier);
        mono().interpolate(&left[..2_000], &left[2_441..3_000], 0, &mut out_left, tier);
        mono().interpolate(&right[..2_000], &right[2_441..3_000], 0, &mut out_right, tier);
        for (frame, (l, r)) in out.chunks(2).zip(out_left.iter().zip(&out_right)) {
            assert_eq!(frame, [*l, *r]);
        }
    }
    // The same in both: concealed once, no different.
    let both: Vec<f32> = left.iter().flat_map(|&l| [l, l]).collect();
    let (mut out, mut alone) = ([0.0; 882], [0.0; 441]);
    stereo.extrapolate(&both, 0, &mut out, Tier::Ar256);
    mono().extrapolate(&left, 0, &mut alone, Tier::Ar256);
    assert!(out.chunks(2).zip(&alone).all(|(frame, x)| frame == [*x, *x]));
}

#[test]
fn a_join_goes_from_the_one_to_the_other() {
    let mut follows = [1.0; 441];
    let mut concealer = mono();
    concealer.join(&[-1.0; 441], &mut follows);
    assert!(follows[0] < -0.99 && follows[219] > 0.99);
    assert!(follows.windows(2).all(|w| w[1] >= w[0]));
    assert_eq!(follows[concealer.join_frames()..], [1.0; 221]);
    concealer.join(&[], &mut follows);
    concealer.join(&[0.0; 3], &mut []);
}

#[test]
fn nothing_is_allocated_while_concealing() {
    let sound = sine(200.0, 8_000);
    let mut concealer = Concealer::new(Format::new(44_100, 2).unwrap());
    let mut out = vec![0.0; 12_000];
    for tier in Tier::ALL {
        assert_no_alloc::assert_no_alloc(|| {
            concealer.extrapolate(&sound, 0, &mut out[..882], tier);
            concealer.extrapolate(&sound, 441, &mut out, tier);
            concealer.interpolate(&sound, &sound, 0, &mut out[..882], tier);
            concealer.interpolate(&sound, &sound, 882, &mut out, tier);
        });
    }
}

#[test]
fn tiers_scale_with_the_rate_and_step_by_one() {
    assert_eq!(Tier::Ar440.order(44_100), 440);
    assert_eq!(Tier::Ar440.order(48_000), 479);
    assert_eq!(Tier::Ar64.order(8_000), 12);
    assert_eq!(Tier::Pitch.order(44_100), 0);
    assert_eq!(Tier::Ar440.cheaper(), Tier::Ar256);
    assert_eq!((Tier::Pitch.cheaper(), Tier::Pitch.dearer()), (Tier::Pitch, Tier::Ar64));
    assert_eq!(Tier::Ar440.dearer(), Tier::Ar440);
}

/// Sound that is hard on models.
fn nasty() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![
        Just(0.0f32),
        Just(1.0),
        Just(-1.0),
        Just(3.0e-5),
        Just(f32::NAN),
        Just(f32::INFINITY),
        Just(f32::MAX),
        Just(f32::MIN_POSITIVE),
        -1.0f32..1.0
    ];
    prop_oneof![
        prop::collection::vec(value, 0..1_500),
        // Squares, DC included.
        (1usize..700, 0usize..1_500, -1.0f32..=1.0).prop_map(|(half, len, level)| {
            (0..len).map(|n| if (n / half) % 2 == 0 { level } else { -level }).collect()
        }),
        (prop_oneof![Just(1.0f32), Just(-1.0), Just(3.0e-5)], 0usize..1_500)
            .prop_map(|(level, len)| vec![level; len]),
        // A click in silence.
        (1usize..1_500, any::<prop::sample::Index>()).prop_map(|(len, at)| {
            let mut sound = vec![0.0; len];
            sound[at.index(len)] = 1.0;
            sound
        }),
        // A ramp, which no stable model continues.
        (1usize..1_500).prop_map(|len| (0..len).map(|n| n as f32 / len as f32).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_comes_in_what_goes_out_is_finite_and_bounded(
        past in nasty(),
        future in nasty(),
        already in prop_oneof![Just(0usize), 0usize..5_000, Just(usize::MAX / 2)],
        frames in prop_oneof![0usize..900, 0usize..5_000],
        tier in prop::sample::select(&Tier::ALL[..]),
        stereo in any::<bool>(),
    ) {
        let channels = if stereo { 2 } else { 1 };
        let mut concealer = Concealer::new(Format::new(16_000, channels).unwrap());
        let mut out = vec![f32::NAN; frames * channels as usize];
        let peak = |x: &[f32]| x.iter().filter(|v| v.is_finite()).fold(0.0f32, |p, v| v.abs().min(4.0).max(p));
        concealer.extrapolate(&past, already, &mut out, tier);
        prop_assert!(out.iter().all(|x| x.is_finite()));
        // A fade that is undone for the model may make the past louder, no more than it is made fainter again.
        if already == 0 {
            prop_assert!(peak(&out) <= peak(&past) * 1.5 + 1e-6);
        }
        let mut again = vec![f32::NAN; out.len()];
        concealer.extrapolate(&past, already, &mut again, tier);
        prop_assert_eq!(&again, &out);
        out.fill(f32::NAN);
        concealer.interpolate(&past, &future, already, &mut out, tier);
        prop_assert!(out.iter().all(|x| x.is_finite()));
        if already == 0 {
            prop_assert!(peak(&out) <= peak(&past).max(peak(&future)) * 1.5 + 1e-6);
        }
        concealer.join(&past, &mut out);
        prop_assert!(out.iter().all(|x| x.is_finite()));
    }
}
