//! Sends a WAV file of 48 kHz through our Opus encoder and decoder with packets lost, so that `opus_pesq.py` can judge what is heard.
//!
//! `opus_wav IN.wav OUT.wav PACKET AHEAD BITRATE LOSS DRED` with the losses on standard input, one character a packet: `1` is lost. PACKET is
//! a packet's length in frames, AHEAD how many packets after the one that is due may have come, LOSS the percentage that FEC is made
//! for, DRED how far back deep redundancy goes, in milliseconds. Writes the mean bitrate to standard output.

use std::io::Read;
use std::time::Duration;

use _engine::engine::codec::{Decoder, Encoder, Settings, Snapshot};
use _engine::engine::coding::{Coding, Encoding};
use _engine::engine::format::Format;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [input, output, packet, ahead, bitrate, percent, dred] = &args[..] else {
        // `cargo bench` and `cargo test --benches` run every harness: nothing to do there.
        return;
    };
    let mut reader = hound::WavReader::open(input).expect("a WAV file to read");
    let spec = reader.spec();
    let sound: Vec<i16> = reader.samples().map(|s| s.expect("16-bit samples")).collect();
    let format = Format::new(spec.sample_rate, spec.channels).expect("a format of ours");
    let encoding = Encoding { coding: Coding::Opus, format };
    let mut losses = String::new();
    std::io::stdin().read_to_string(&mut losses).expect("losses on standard input");
    let lost: Vec<bool> = losses.trim().bytes().map(|b| b == b'1').collect();
    let packet: usize = packet.parse().expect("PACKET in frames");
    let ahead: usize = ahead.parse().expect("AHEAD in packets");
    let settings = Settings {
        bitrate: bitrate.parse().expect("BITRATE in bits a second"),
        loss_percent: percent.parse().expect("LOSS in percent"),
        dred: Duration::from_millis(dred.parse().expect("DRED in milliseconds")),
        ..Settings::default()
    };

    let mut encoder = Encoder::new(encoding, settings).expect("an encoder");
    let payloads: Vec<Vec<u8>> = sound
        .chunks_exact(packet * format.channels())
        .map(|samples| {
            let mut payload = Vec::new();
            encoder.encode(samples, &mut payload).expect("a packet");
            payload
        })
        .collect();
    let mut writer = hound::WavWriter::create(output, spec).expect("a WAV file to write");
    for sample in receive(encoding, &payloads, &lost, packet, ahead) {
        writer.write_sample(sample).expect("room on the disk");
    }
    writer.finalize().expect("room on the disk");
    let bits = payloads.iter().map(|payload| payload.len() * 8).sum::<usize>();
    println!("{}", bits as u64 * 48_000 / (payloads.len() * packet) as u64);
}

/// What is heard: of a hole, the packets that are due before anything behind it has come are made up from the past alone.
fn receive(encoding: Encoding, payloads: &[Vec<u8>], lost: &[bool], packet: usize, ahead: usize) -> Vec<i16> {
    let mut decoder = Decoder::new(encoding).expect("a decoder");
    let mut before = Snapshot::default();
    let (mut heard, mut unheard) = (Vec::new(), Vec::new());
    let mut hole = 0;
    for (k, payload) in payloads.iter().enumerate() {
        if lost.get(k).copied().unwrap_or(false) {
            hole += 1;
            continue;
        }
        if hole > 0 {
            let early = hole.max(ahead) - ahead;
            decoder.snapshot(&mut before);
            bridge(&mut decoder, early * packet, &[], &mut heard);
            decoder.restore(&before);
            unheard.clear();
            bridge(&mut decoder, hole * packet, payload, &mut unheard);
            heard.extend_from_slice(&unheard[early * packet * encoding.format.channels()..]);
            hole = 0;
        }
        assert!(decoder.decode(payload, &mut heard), "what we encode we decode");
    }
    bridge(&mut decoder, hole * packet, &[], &mut heard);
    heard
}

/// Appends exactly `frames` frames: silence first where the hole is longer than is bridged.
fn bridge(decoder: &mut Decoder, frames: usize, next: &[u8], heard: &mut Vec<i16>) {
    let silent = frames.saturating_sub(Decoder::MAX_BRIDGE_FRAMES as usize);
    heard.resize(heard.len() + silent * decoder.encoding().format.channels(), 0);
    decoder.bridge(frames as u32, next, heard);
}
