//! How a call would be judged: the E-model (ITU-T G.107, 06/2015) of narrow-band telephony, with its default parameters.
//!
//! A planning model, not a measurement: it knows losses, delay and the codec, and not what was said. Its scale ends at 93.2,
//! the best that 300 to 3,400 Hz can be; sound of full band gets no more for being better. Echo is taken to be as loud as G.107 has
//! it by default (TELR 65 dB), so that delay costs a little before it hinders conversation.

use std::time::Duration;

use crate::engine::coding::Coding;
use crate::engine::exact::{exp, log2, log10, pow, power};

/// What the model is told of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Listening {
    /// What coding alone costs, and how well losses are hidden.
    pub equipment: Equipment,
    /// Packets that were not there to be played, 0 to 1: lost and not repaired, or late.
    pub missing: f64,
    /// The mean length of their runs, against that of as many by chance; 1 at least.
    pub burst_ratio: f64,
    /// One way, mouth to ear.
    pub delay: Duration,
}

/// The equipment impairment factor and the packet-loss robustness factor of a codec (G.113 Appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equipment {
    /// Ie.
    pub impairment: f64,
    /// Bpl.
    pub robustness: f64,
}

/// The model's word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The transmission rating, 0 to 100: above 80 users are satisfied (G.109), 50 and below is not recommended.
    pub r_factor: f64,
    /// The mean opinion score of listening, 1 to 4.5: without the delay.
    pub mos_listening: f64,
    /// The mean opinion score of conversation, 1 to 4.5.
    pub mos: f64,
}

impl Quality {
    /// Judges a stream.
    pub fn of(listening: &Listening) -> Self {
        let lost = listening.missing.clamp(0.0, 1.0) * 100.0;
        let Equipment { impairment, robustness } = listening.equipment;
        let effective =
            impairment + (95.0 - impairment) * lost / (lost / listening.burst_ratio.max(1.0) + robustness);
        let best = basic_signal_to_noise() - simultaneous();
        let without_delay = best - effective;
        let r = without_delay - delayed(listening.delay.as_secs_f64() * 1e3);
        // Delay of nothing has a cost of nearly nothing in the model: it belongs to both.
        let r_listening = without_delay - delayed(0.0);
        Self { r_factor: r.clamp(0.0, 100.0), mos_listening: opinion(r_listening), mos: opinion(r) }
    }
}

impl Equipment {
    /// Of a stream whose holes are concealed by playout, or are silence as in a file. G.113 Appendix I has G.711. Of the others
    /// it has nothing. Assumed: linear PCM is as G.711; Opus, at the 64 kbit/s that we send, costs nothing, and conceals by
    /// itself as well as G.711 is concealed. What redundancy repairs is not missing.
    pub const fn of(coding: Coding, is_concealed: bool) -> Self {
        match coding {
            Coding::Opus => Self::CONCEALED,
            Coding::L16 | Coding::L24 | Coding::Pcmu | Coding::Pcma if is_concealed => Self::CONCEALED,
            Coding::L16 | Coding::L24 | Coding::Pcmu | Coding::Pcma => Self::SILENT,
        }
    }

    /// G.711, holes of 10 ms concealed as by its Appendix I.
    pub const CONCEALED: Self = Self { impairment: 0.0, robustness: 25.1 };
    /// G.711, holes silent.
    pub const SILENT: Self = Self { impairment: 0.0, robustness: 4.3 };
}

/// Ro, and with it No (G.107 §7.2): the circuit's noise, the rooms', and the line's at the receiver.
fn basic_signal_to_noise() -> f64 {
    15.0 - 1.5 * (SLR + noise())
}

fn noise() -> f64 {
    let room_sent = PS - SLR - DS - 100.0 + 0.004 * power(PS - OLR - DS - 14.0, 2);
    let room_heard = PR + 10.0 * log10(1.0 + ratio((10.0 - LSTR) / 10.0));
    let room_received = RLR - 121.0 + room_heard + 0.008 * power(room_heard - 35.0, 2);
    let floor = NFOR + RLR;
    10.0 * log10([NC, room_sent, room_received, floor].map(|level| ratio(level / 10.0)).iter().sum::<f64>())
}

/// Is (§7.3): too loud, side tone, quantisation.
fn simultaneous() -> f64 {
    let excess = OLR + 0.2 * (64.0 + noise() - RLR);
    let loud = 20.0 * (pow(1.0 + power(excess / 8.0, 8), 1.0 / 8.0) - excess / 8.0);
    // The echo is no side tone yet: T = 0.
    let side = -10.0 * log10(ratio(-STMR / 10.0) + ratio(-TELR / 10.0));
    let bend = |offset: f64, width: f64, order: u32| {
        pow(1.0 + power((side + offset) / width, order), 1.0 / f64::from(order))
    };
    let tone = 12.0 * bend(-13.0, 6.0, 8) - 28.0 * bend(1.0, 19.4, 35) - 13.0 * bend(-3.0, 33.0, 13) + 29.0;
    let q = 37.0 - 15.0 * log10(QDU);
    let g = 1.07 + 0.258 * q + 0.0602 * q * q;
    let y = (basic_signal_to_noise() - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
    let z = 46.0 / 30.0 - g / 40.0;
    loud + tone + 15.0 * log10(1.0 + ratio(y) + ratio(z))
}

/// Id (§7.4) of so many milliseconds one way: the talker's echo, the listener's, and the wait itself.
fn delayed(ms: f64) -> f64 {
    let talker_echo = {
        let loudness =
            TELR - 40.0 * log10((1.0 + ms / 10.0) / (1.0 + ms / 150.0)) + 6.0 * exp(-0.3 * ms * ms);
        let (noise, echo) = (-1.5 * (noise() - RLR), 80.0 + 2.5 * (loudness - 14.0));
        let half = (noise - echo) / 2.0;
        (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - exp(-ms))
    };
    let listener_echo = {
        let echo = 10.5 * (WEPL + 7.0) * pow(2.0 * ms + 1.0, -0.25);
        let half = (basic_signal_to_noise() - echo) / 2.0;
        half + (half * half + 169.0).sqrt()
    };
    let wait = if ms <= 100.0 {
        0.0
    } else {
        let x = log2(ms / 100.0);
        let sixth = |x: f64| pow(1.0 + power(x, 6), 1.0 / 6.0);
        25.0 * (sixth(x) - 3.0 * sixth(x / 3.0) + 2.0)
    };
    talker_echo + listener_echo + wait
}

/// Annex B.
fn opinion(r: f64) -> f64 {
    match r {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        // Its curve dips below 1 before it rises.
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

fn ratio(exponent: f64) -> f64 {
    pow(10.0, exponent)
}

/// Table 2: send, receive and overall loudness ratings, dB.
const SLR: f64 = 8.0;
const RLR: f64 = 2.0;
const OLR: f64 = SLR + RLR;
/// Side tone masking rating, that of the listener, dB.
const STMR: f64 = 15.0;
const LSTR: f64 = 18.0;
/// The D-value of the telephone that sends.
const DS: f64 = 3.0;
/// Talker's echo loudness rating and the listener's echo loss, dB.
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
/// Quantising distortion units.
const QDU: f64 = 1.0;
/// Circuit noise and the floor at the receiver, dBm0p; the rooms', dB(A).
const NC: f64 = -70.0;
const NFOR: f64 = -64.0;
const PS: f64 = 35.0;
const PR: f64 = 35.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quality(equipment: Equipment, missing: f64, burst_ratio: f64, ms: u64) -> Quality {
        Quality::of(&Listening { equipment, missing, burst_ratio, delay: Duration::from_millis(ms) })
    }

    #[test]
    fn without_impairment_it_is_g_107s_93_point_2() {
        let best = quality(Equipment::CONCEALED, 0.0, 1.0, 0);
        assert!((best.r_factor - 93.2).abs() < 0.05, "{best:?}");
        assert!((best.mos - 4.41).abs() < 0.005 && (best.mos_listening - best.mos).abs() < 1e-9, "{best:?}");
    }

    #[test]
    fn holes_are_concealed_live_and_by_opus() {
        assert_eq!(Equipment::of(Coding::Pcmu, false), Equipment::SILENT);
        for (coding, is_concealed) in [(Coding::Pcma, true), (Coding::L16, true), (Coding::Opus, false)] {
            assert_eq!(Equipment::of(coding, is_concealed), Equipment::CONCEALED);
        }
    }

    #[test]
    fn the_opinions_are_those_of_g_107s_table_b_1() {
        for (r, mos) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((opinion(r) - mos).abs() < 0.01, "{r}: {}", opinion(r));
        }
        assert_eq!((opinion(-5.0), opinion(3.0), opinion(120.0)), (1.0, 1.0, 4.5));
    }

    #[test]
    fn losses_cost_what_their_robustness_says() {
        let best = quality(Equipment::CONCEALED, 0.0, 1.0, 0).r_factor;
        // 95 × 2 / (2 + Bpl), by hand.
        for (equipment, cost) in [(Equipment::CONCEALED, 7.011), (Equipment::SILENT, 30.159)] {
            let r = quality(equipment, 0.02, 1.0, 0).r_factor;
            assert!((best - r - cost).abs() < 0.001, "{cost}: {}", best - r);
        }
        // In runs of twice the length: 95 × 2 / (1 + Bpl).
        let burst = quality(Equipment::CONCEALED, 0.02, 2.0, 0).r_factor;
        assert!((best - burst - 7.280).abs() < 0.001);
    }

    #[test]
    fn delay_costs_little_up_to_150_ms_and_much_beyond() {
        let lost = |ms| 93.2 - quality(Equipment::CONCEALED, 0.0, 1.0, ms).r_factor;
        // Cole and Rosenbluth's fit of the model (2001): 0.024 × ms, and 0.11 × what exceeds 177.3 ms.
        for (ms, fitted) in [(50, 1.2), (100, 2.4), (150, 3.6), (200, 7.3), (300, 20.7)] {
            assert!((lost(ms) - fitted).abs() < 1.5, "{ms} ms: {}", lost(ms));
        }
        let far = quality(Equipment::CONCEALED, 0.0, 1.0, 400);
        assert!(far.mos < 3.6 && far.mos_listening > 4.4, "{far:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_measured_the_scales_hold(missing in -1.0f64..2.0, ratio in 0.0f64..1e6, ms in 0u64..100_000) {
            let q = quality(Equipment::of(Coding::Opus, true), missing, ratio, ms);
            prop_assert!((0.0..=100.0).contains(&q.r_factor));
            prop_assert!((1.0..=4.5).contains(&q.mos) && (1.0..=4.5).contains(&q.mos_listening));
            prop_assert!(q.mos <= q.mos_listening + 1e-9);
        }
    }
}
