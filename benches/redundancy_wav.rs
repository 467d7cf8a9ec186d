//! Sends a WAV file twice in a row over a path that loses packets, with redundancy, and writes what is heard of the second time, so that
//! `redundancy_pesq.py` can judge it. Sender, receiver and player are the engine's, in virtual time.
//!
//! `redundancy_wav IN.wav OUT.wav CODEC BITRATE PACKET REDUNDANCY SPACING PERCENT` with the losses on standard input: a line for the stream, and one for each
//! stream of copies; one character a packet, `1` is lost. CODEC is `l16` or `opus`, PACKET in milliseconds, REDUNDANCY 0 to 4,
//! `opus` or `auto`; FEC is made for a loss of PERCENT, with `auto` for what is reported. Writes to standard output what was sent (bits a second, RTP's headers included), the mean delay in the buffer in ms, and what was
//! lost, repaired and concealed the second time, in percent.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use _engine::engine::codec::Settings;
use _engine::engine::coding::{Coding, Encoding, PayloadTypes};
use _engine::engine::config::{BlockSize, Redundancy, Wire};
use _engine::engine::format::{Format, to_i16};
use _engine::engine::playout::conceal::Tier;
use _engine::engine::playout::live::Bounds;
use _engine::engine::playout::player::Player;
use _engine::engine::playout::render::{Render, Renderer, Starved};
use _engine::engine::sim::clock::SoundCard;
use _engine::engine::sim::scenario::START;
use _engine::engine::stats::{RemoteStats, RemoteVoice};
use _engine::engine::stream::queue::packet_queue;
use _engine::engine::stream::receiver::Receiver;
use _engine::engine::stream::remedy::{Adviser, Remedy};
use _engine::engine::stream::repeat::Repeater;
use _engine::engine::stream::reports::{Bursts, Fate};
use _engine::engine::stream::sender::{Outline, Sender};
use _engine::engine::time::Micros;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [input, output, codec, bitrate, packet, redundancy, spacing, percent] = &args[..] else {
        // `cargo bench` and `cargo test --benches` run every harness: nothing to do there.
        return;
    };
    let mut reader = hound::WavReader::open(input).expect("a WAV file to read");
    let spec = reader.spec();
    let sound: Vec<i16> = reader.samples().map(|s| s.expect("16-bit samples")).collect();
    let format = Format::new(spec.sample_rate, spec.channels).expect("a format of ours");
    let mut losses = String::new();
    std::io::stdin().read_to_string(&mut losses).expect("losses on standard input");
    let losses: Vec<Vec<bool>> =
        losses.lines().map(|line| line.bytes().map(|b| b == b'1').collect()).collect();
    let coding = Coding::parse(codec).expect("CODEC");
    let block = BlockSize::from_ms(packet.parse().expect("PACKET in milliseconds")).expect("PACKET");
    let mut outline = Outline::l16(Wire::Rtp, format, block, None);
    outline.encoding = Encoding { coding, format };
    outline.payload_type =
        PayloadTypes::new(format).type_of(outline.encoding).expect("a payload type of ours");
    outline.settings = Settings {
        bitrate: bitrate.parse().expect("BITRATE"),
        fec: matches!(redundancy.as_str(), "0" | "auto"),
        loss_percent: percent.parse().expect("PERCENT"),
        ..Settings::default()
    };
    let redundancy = match redundancy.as_str() {
        "opus" => Redundancy::Opus,
        "auto" => Redundancy::Auto,
        "0" => Redundancy::None,
        copies => Redundancy::Copies(copies.parse().expect("REDUNDANCY")),
    };

    let path = send(&outline, &sound, redundancy, spacing.parse().expect("SPACING"), &losses);
    let (heard, figures) = listen(&outline, sound.len() / format.channels(), path);
    let mut writer = hound::WavWriter::create(output, spec).expect("a WAV file to write");
    for x in heard {
        writer.write_sample(to_i16(x)).expect("room on the disk");
    }
    writer.finalize().expect("room on the disk");
    println!("{figures}");
}

/// What arrives.
struct Path {
    /// When, whether it is of a stream of copies, and the packet.
    arrivals: Vec<(Micros, bool, Vec<u8>)>,
    bits_per_second: u64,
}

/// Sends `sound` twice, and leaves out what is lost.
fn send(outline: &Outline, sound: &[i16], redundancy: Redundancy, spacing: u8, losses: &[Vec<bool>]) -> Path {
    let format = outline.encoding.format;
    let mut sender = Sender::new(outline, SSRC, 1, 1).expect("a sender");
    let frames = sender.frames_per_packet();
    let mut repeater = Repeater::new(outline, frames, SSRC, redundancy, spacing).expect("such redundancy");
    let mut arrivals = Vec::new();
    let (mut bytes, mut n) = (0, 0);
    let packet = format.duration(frames as u64);
    let mut reports =
        (redundancy == Redundancy::Auto).then(|| Reports::new(outline, packet, spacing, &losses[0]));
    for samples in [sound, sound].iter().flat_map(|sound| sound.chunks(frames * format.channels())) {
        if let (Some(reports), Some(repeater)) = (&mut reports, &mut repeater)
            && let Some(remedy) = reports.next(n)
        {
            let settings = Settings { loss_percent: reports.adviser.loss_percent(), ..outline.settings };
            sender.adjust(remedy.spending(settings, packet));
            repeater.set(remedy);
        }
        sender.push(samples, &mut |packet| {
            n += 1;
            let at = START + format.duration((n * frames) as u64);
            let mut stream = 0;
            let mut put = |packet: &[u8], is_copy: bool| {
                stream += usize::from(is_copy);
                bytes += packet.len();
                if !losses[stream].get(n - 1).copied().unwrap_or(false) {
                    arrivals.push((at + DELAY, is_copy, packet.to_vec()));
                }
            };
            match &mut repeater {
                None => put(packet.bytes, false),
                Some(repeater) => repeater.push(packet, &mut |out| put(out.bytes, out.is_copy)),
            }
        });
    }
    let seconds = format.duration((n * frames) as u64).as_secs_f64();
    Path { arrivals, bits_per_second: (bytes as f64 * 8.0 / seconds) as u64 }
}

/// What a receiver of the stream tells of it, as often as ours would (RFC 3550 §6.2), 40 ms later, and what is done about that.
struct Reports<'a> {
    packet: Duration,
    every: Duration,
    losses: &'a [bool],
    told: usize,
    bursts: Bursts,
    adviser: Adviser,
}

impl<'a> Reports<'a> {
    fn new(outline: &Outline, packet: Duration, spacing: u8, losses: &'a [bool]) -> Self {
        let Encoding { coding, format } = outline.encoding;
        let bits =
            coding.sample_bytes().map_or(outline.settings.bitrate, |bytes| format.rate() * 8 * bytes as u32);
        let every = Duration::from_secs(360_000) / bits;
        let adviser = Adviser::new(packet, spacing).coded_as(coding);
        let every = every.clamp(Duration::from_millis(500), Duration::from_secs(5));
        Self { packet, every, losses, told: 0, bursts: Bursts::default(), adviser }
    }

    /// Before packet `n`: what its report prescribes, if one comes.
    fn next(&mut self, n: usize) -> Option<Remedy> {
        let packets = |time: Duration| time.div_duration_f64(self.packet).round() as usize;
        let known =
            n.checked_sub(packets(2 * DELAY)).filter(|known| *known >= self.told + packets(self.every))?;
        let lost = |n: usize| self.losses.get(n).copied().unwrap_or(false);
        let fates: Vec<bool> = (self.told..known).map(lost).collect();
        for lost in &fates {
            self.bursts.push(if *lost { Fate::Lost } else { Fate::Good });
        }
        self.told = known;
        let figures = self.bursts.figures();
        let voice = RemoteVoice {
            burst_density: figures.burst_density,
            burst_ms: figures.burst_packets * self.packet.as_secs_f64() * 1e3,
            ..RemoteVoice::default()
        };
        let fraction_lost = fates.iter().filter(|lost| **lost).count() as f64 / fates.len() as f64;
        let report = RemoteStats { fraction_lost, voice: Some(voice), ..RemoteStats::default() };
        Some(self.adviser.hear(&report, START + self.packet * n as u32))
    }
}

/// What is heard of the second time, and the figures.
fn listen(outline: &Outline, frames: usize, path: Path) -> (Vec<f32>, String) {
    let format = outline.encoding.format;
    let block = format.frames(Duration::from_millis(10));
    let (mut writer, reader) = packet_queue(4096, 1 << 20, format.channels());
    let player = Player::live(reader, format, Bounds::default().most, Arc::default());
    let counters = player.counters();
    let (mut renderer, mut roster, controls) =
        Renderer::new(format, 1, block, Duration::from_secs(1)).expect("a plain format");
    controls.set_bounds(Bounds::default());
    renderer.set_tier(Tier::Ar440);
    assert!(roster.add(player), "there is room for one");
    let types = PayloadTypes::new(format);
    let mut receiver = Receiver::new(1, Wire::Rtp, outline.encoding, &types).expect("a receiver");
    let (again, end) = (START + format.duration(frames as u64), START + format.duration(2 * frames as u64));
    let mut arrivals = path.arrivals.into_iter().peekable();
    let mut out = vec![0.0; block * format.channels()];
    let mut heard = Vec::new();
    let (mut delay, mut pulls) = (0.0, 0.0);
    let mut before = None;
    for pull in SoundCard::new(START + PHASE, format.rate(), block, 0) {
        if pull.at >= end + TAIL {
            break;
        }
        while let Some((at, is_copy, packet)) = arrivals.next_if(|(at, ..)| *at <= pull.at) {
            let mut deliver = |head, samples: &[i16]| {
                assert!(writer.push(head, samples), "the queue holds more than the player is behind");
            };
            if is_copy {
                receiver.receive_copy(&packet, at, &mut deliver).expect("a copy");
            } else {
                receiver.receive(&packet, at, &mut deliver).expect("a packet");
            }
        }
        renderer.render(pull.at, &mut out, Starved::Advance);
        if pull.at >= again {
            before.get_or_insert_with(|| (receiver.reception(), counters.snapshot()));
            heard.extend_from_slice(&out);
            if pull.at < end {
                delay += counters.snapshot().delay_ms;
                pulls += 1.0;
            }
        }
    }
    let (now, figures) = (receiver.reception(), counters.snapshot());
    let (was, had) = before.unwrap_or_default();
    let expected = (now.expected - was.expected) as f64 / 100.0;
    let figures = format!(
        "{} {:.2} {:.2} {:.2} {:.2}",
        path.bits_per_second,
        delay / pulls,
        (now.lost - was.lost) as f64 / expected,
        (now.repaired - was.repaired) as f64 / expected,
        (figures.frames_concealed - had.frames_concealed) as f64 * 100.0 / frames as f64,
    );
    (heard, figures)
}

const SSRC: u32 = 7;
/// Of the path.
const DELAY: Duration = Duration::from_millis(20);
/// The card begins between two packets.
const PHASE: Duration = Duration::from_micros(3_300);
/// What is still to be heard at the end.
const TAIL: Duration = Duration::from_millis(300);
