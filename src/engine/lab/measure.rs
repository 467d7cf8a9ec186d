//! The figures of an experiment that is over.

use std::time::Duration;

use super::ear::Ear;
use super::ledger::{Entry, Ledger};
use super::outcome::{Bits, BurstFigures, Connection, Counts, Injected, Judgement, Outcome, Spread};
use super::road::Road;
use super::talker::Talker;
use super::{BEGIN, Experiment};
use crate::engine::error::Result;
use crate::engine::format::Format;
use crate::engine::rate::Converter;
use crate::engine::stats::Reception;
use crate::engine::stream::reports::{Bursts, Equipment, Listening, Quality};
use crate::engine::time::Micros;

/// Sums up.
pub fn outcome(
    experiment: &Experiment,
    talker: &Talker,
    road: &Road,
    ear: Ear,
    ledger: Ledger,
) -> Result<Outcome> {
    let connection = road.connection();
    let (reception, playback) = ear.counts();
    let format = ear.format();
    let malformed = ear.malformed;
    let begins = ear.begins.unwrap_or_default();
    let sent_frames: u64 = ledger.entries().iter().map(|entry| u64::from(entry.frames)).sum();
    let sent_frames = sent_frames.saturating_sub(begins);
    let dropped = talker.dropped * u64::from(format.rate()) / u64::from(experiment.format().rate());
    let counts = Counts {
        sent: ledger.packets() as u64,
        copies: talker.copies,
        expected: reception.expected,
        received: reception.received,
        lost: reception.lost,
        late: playback.late_packets,
        duplicated: reception.duplicated,
        reordered: reception.reordered,
        repaired: reception.repaired,
        malformed,
        packet_frames: talker.packet_frames() as u64,
        frames: sent_frames + dropped,
        frames_heard: playback.frames_played.min(sent_frames),
        frames_concealed: playback.frames_concealed,
        concealments: playback.concealments,
        underruns: playback.underruns,
        frames_accelerated: playback.frames_accelerated,
        frames_expanded: playback.frames_expanded,
        resets: playback.resets,
        frames_dropped: talker.dropped,
        overruns: talker.overruns,
    };
    let injected = if experiment.is_datagrams() { ledger.injection() } else { Injected::default() };
    let bursts = ledger.bursts();
    let end = ledger.entries().last().map_or(0, |entry| entry.position + u64::from(entry.frames));
    let frames = usize::try_from(end).unwrap_or(0);
    let (heard, arrived, delays) = ear.into_sounds(frames);
    let mouth_to_ear = spread(delays.iter().map(|(_, delay)| *delay).collect());
    Ok(Outcome {
        counts,
        injected,
        bursts: burst_figures(&bursts),
        jitter_us: micros(reception.jitter_frames, format),
        jitter_mean_us: micros(reception.jitter_mean_frames, format),
        network: spread(ledger.entries().iter().filter_map(transit).collect()),
        mouth_to_ear,
        bits: bits(experiment, talker, road, &ledger, connection.as_ref()),
        connection,
        judgement: judge(experiment, &counts, &reception, &bursts, mouth_to_ear),
        delays: delays.into_iter().map(|(at, delay)| (at.since(BEGIN).as_micros() as u64, delay)).collect(),
        stream_rate: format.rate(),
        format: experiment.format(),
        heard: convert(heard, format, experiment.format())?,
        arrived: convert(arrived, format, experiment.format())?,
        capture: None,
        trace: ledger.into_entries(),
    })
}

fn transit(entry: &Entry) -> Option<u64> {
    entry.arrived.map(|arrived: Micros| arrived.since(entry.sent).as_micros() as u64)
}

fn spread(mut delays: Vec<u64>) -> Spread {
    delays.sort_unstable();
    let Some(most) = delays.last().copied() else { return Spread::default() };
    // The nearest rank: no value that was not measured.
    let rank = |percent: usize| delays[(delays.len() * percent).div_ceil(100).max(1) - 1];
    let mean = delays.iter().sum::<u64>() / delays.len() as u64;
    Spread { least: delays[0], p50: rank(50), p95: rank(95), p99: rank(99), most, mean }
}

fn burst_figures(bursts: &Bursts) -> BurstFigures {
    let figures = bursts.figures();
    let scaled = |value: f64, scale: f64| (value * scale).round() as u64;
    BurstFigures {
        burst_density_ppm: scaled(figures.burst_density, 1e6),
        burst_millipackets: scaled(figures.burst_packets, 1e3),
        gap_density_ppm: scaled(figures.gap_density, 1e6),
        gap_millipackets: scaled(figures.gap_packets, 1e3),
    }
}

fn bits(
    experiment: &Experiment,
    talker: &Talker,
    road: &Road,
    ledger: &Ledger,
    connection: Option<&Connection>,
) -> Bits {
    let micros = experiment.end().since(BEGIN).as_micros().max(1);
    let a_second = |bytes: u64| (u128::from(bytes) * 8_000_000 / micros) as u64;
    let payload = |arrived: bool| -> u64 {
        let entries = ledger.entries().iter().filter(|entry| !arrived || entry.arrived.is_some());
        entries.map(|entry| u64::from(entry.payload)).sum()
    };
    let all = payload(false);
    let packets = ledger.packets() as u64;
    let segments = connection.map_or(0, |tcp| tcp.segments - tcp.retransmissions);
    let headers = packets * (talker.header() + road.headers()) as u64 + segments * TCP_HEADERS;
    // In frames of what was captured: what was sent, and what was dropped before it could be.
    let unsent = talker.dropped;
    let sent = (experiment.sound.len() / experiment.format().channels()) as u64 - unsent;
    let framing = if connection.is_some() { road.headers() } else { 0 };
    Bits {
        wire: a_second(road.wire_bytes()),
        payload: a_second(all),
        good: a_second(payload(true)),
        need: a_second((all + packets * (talker.header() + framing) as u64) * (sent + unsent) / sent.max(1)),
        header_ppm: headers * 1_000_000 / (headers + all).max(1),
    }
}

/// The E-model knows losses, their runs, the codec and the delay. What is missing here is what was not heard as it was sent,
/// for whatever reason: lost and not repaired, late, dropped by the sender.
fn judge(
    experiment: &Experiment,
    counts: &Counts,
    reception: &Reception,
    bursts: &Bursts,
    delay: Spread,
) -> Judgement {
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let missing = 1.0 - share(counts.frames_heard, counts.frames);
    let run = share(counts.frames_concealed, counts.concealments * counts.packet_frames);
    let delay = Duration::from_micros(delay.mean);
    let coding = experiment.client.codec;
    let judged =
        |equipment, missing, burst_ratio| Quality::of(&Listening { equipment, missing, burst_ratio, delay });
    let with = judged(Equipment::of(coding, true), missing, run * (1.0 - missing));
    let bare = share(reception.lost + counts.late, counts.expected);
    let dropped = share(counts.frames_dropped, counts.frames);
    let without = judged(Equipment::SILENT, bare + dropped, bursts.figures().bad_run * (1.0 - bare));
    let hundredths = |value: f64| (value * 100.0).round() as u64;
    Judgement {
        r: hundredths(with.r_factor),
        mos: hundredths(with.mos),
        r_bare: hundredths(without.r_factor),
        missing_ppm: (counts.frames - counts.frames_heard) * 1_000_000 / counts.frames.max(1),
    }
}

/// IPv4, and TCP with timestamps.
const TCP_HEADERS: u64 = 52;

fn micros(frames: f64, format: Format) -> u64 {
    (frames * 1e6 / f64::from(format.rate())).round() as u64
}

fn convert(sound: Vec<i16>, from: Format, to: Format) -> Result<Vec<i16>> {
    if from == to {
        return Ok(sound);
    }
    let mut out = Vec::with_capacity(sound.len());
    let mut converter = Converter::new(from, to)?;
    converter.push(&sound, &mut |sound| out.extend_from_slice(sound));
    converter.finish(None, &mut |sound| out.extend_from_slice(sound));
    Ok(out)
}
