//! Takes packets out of a WAV file and conceals them, so that `conceal_pesq.py` can judge the result.
//!
//! `conceal_wav IN.wav OUT.wav METHOD AHEAD PACKET` with the losses on standard input, one character a packet: `1` is
//! lost. METHOD is `silence`, `repeat`, `one:TIER` or `two:TIER`, TIER one of 440, 256, 128, 64, pitch. AHEAD is how
//! many packets after the one that is due may be looked at, PACKET their length in frames. Only lost packets are
//! changed, unless AHEAD is 0: then each gap ends with a join.

use std::io::Read;

use _engine::engine::format::{Format, to_f32, to_i16};
use _engine::engine::playout::conceal::{Concealer, Tier};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [input, output, method, ahead, packet] = &args[..] else {
        // `cargo bench` and `cargo test --benches` run every harness: nothing to do there.
        return;
    };
    let mut reader = hound::WavReader::open(input).expect("a WAV file to read");
    let spec = reader.spec();
    let format = Format::new(spec.sample_rate, spec.channels).expect("a format of ours");
    let sound: Vec<f32> = reader.samples::<i16>().map(|s| to_f32(s.expect("16-bit samples"))).collect();
    let mut losses = String::new();
    std::io::stdin().read_to_string(&mut losses).expect("losses on standard input");
    let lost: Vec<bool> = losses.trim().bytes().map(|b| b == b'1').collect();
    let ahead = ahead.parse().expect("AHEAD in packets");
    let packet: usize = packet.parse().expect("PACKET in frames");

    let heard = conceal(sound, &lost, method, ahead, packet * format.channels(), format);
    let mut writer = hound::WavWriter::create(output, spec).expect("a WAV file to write");
    for x in heard {
        writer.write_sample(to_i16(x)).expect("room on the disk");
    }
    writer.finalize().expect("room on the disk");
}

fn conceal(
    mut sound: Vec<f32>,
    lost: &[bool],
    method: &str,
    ahead: usize,
    packet: usize,
    format: Format,
) -> Vec<f32> {
    let (kind, tier) = method.split_once(':').unwrap_or((method, "440"));
    let tier = match tier {
        "440" => Tier::Ar440,
        "256" => Tier::Ar256,
        "128" => Tier::Ar128,
        "64" => Tier::Ar64,
        _ => Tier::Pitch,
    };
    let mut concealer = Concealer::new(format);
    let mut already = 0;
    let packets = lost.len().min(sound.len() / packet);
    for k in 0..packets {
        let (past, rest) = sound.split_at_mut(k * packet);
        if !lost[k] {
            if already > 0 && ahead == 0 && matches!(kind, "one" | "two") {
                let mut continuation = vec![0.0; concealer.join_frames() * format.channels()];
                concealer.extrapolate(past, already, &mut continuation, tier);
                concealer.join(&continuation, &mut rest[..packet]);
            }
            already = 0;
            continue;
        }
        let horizon = (k + 1 + ahead).min(packets);
        let far = (k + 1..horizon).find(|&j| !lost[j]);
        let filled = match (kind, far) {
            ("silence", _) => vec![0.0; packet],
            ("repeat", _) => past[past.len() - packet..].to_vec(),
            ("two", Some(far)) => {
                let end = (far..horizon).find(|&j| lost[j]).unwrap_or(horizon);
                let mut out = vec![0.0; (far - k) * packet];
                let future = &rest[(far - k) * packet..(end - k) * packet];
                concealer.interpolate(past, future, already, &mut out, tier);
                out.truncate(packet);
                out
            }
            _ => {
                let mut out = vec![0.0; packet];
                concealer.extrapolate(past, already, &mut out, tier);
                out
            }
        };
        rest[..packet].copy_from_slice(&filled);
        already += packet / format.channels();
    }
    sound
}
