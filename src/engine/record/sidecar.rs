//! The notes beside a server's recording: what came from whom, and where silence stands for what did not. Pure.

use std::fmt::Write;

use super::assembly::{Assembly, MAX_GAPS, MAX_GAPS_PER_SOURCE, MAX_LANES};
use super::tally::ChangeKind;
use crate::engine::error::Error;
use crate::engine::format::Format;
use crate::engine::stats::Reception;
use crate::engine::stream::queue::Position;
use crate::engine::stream::reports::{Ntp, WallClock};
use crate::engine::time::Micros;

/// Silence in the place of sound that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The recording's frame where it begins.
    pub frame: u64,
    /// Its length.
    pub frames: u64,
}

/// The one source that a recording is of.
#[derive(Clone, Debug)]
pub struct About {
    /// What the server calls it.
    pub number: u32,
    /// Its SSRC; zero, and no timestamps, on the classic wire.
    pub ssrc: u32,
    /// Where it sends from.
    pub address: String,
    /// By UDP or TCP.
    pub transport: &'static str,
    /// `rtp` or `classic`.
    pub wire: &'static str,
    /// What it sends, as SDP names it.
    pub codec: String,
    /// What it calls itself for good (RFC 3550 §6.5.1).
    pub cname: Option<String>,
    /// What its user is called (RFC 3550 §6.5.2).
    pub name: Option<String>,
    /// What the network has brought since the recording began.
    pub reception: Reception,
    /// Packets that this recorder had no room for.
    pub dropped: u64,
    /// A moment by the sender's own clock, and the RTP timestamp that belongs to it.
    pub sender_clock: Option<(Ntp, u32)>,
    /// From session time to time of day.
    pub wall: WallClock,
}

/// The first frame of a recording of one source.
#[derive(Clone, Copy, Debug)]
pub struct First {
    /// Where it belongs; its low 32 bits are the RTP timestamp.
    pub position: Position,
    /// When it came, or would have come.
    pub arrival: Micros,
    /// The sender's beginning that it belongs to.
    pub epoch: u32,
}

/// What is known of a recording besides its sound.
pub struct Sidecar<'a> {
    /// The recording's file name.
    pub file: &'a str,
    /// Its format.
    pub format: Format,
    /// Its length so far.
    pub frames: u64,
    /// When it began, ISO 8601.
    pub started: &'a str,
    /// Whether it is complete.
    pub finished: bool,
    /// What ended it before its time.
    pub error: Option<&'a Error>,
    /// Packets that were dropped because the disk was too slow, or came after the error.
    pub unrecorded: u64,
    /// What was recorded.
    pub assembly: &'a Assembly,
    /// What the sources are called, by number.
    pub labels: &'a [(u32, String)],
    /// The one source that it is of, where it is of one, and its first frame.
    pub about: Option<(&'a About, Option<First>)>,
}

impl About {
    /// What it is to be called.
    pub fn title(&self) -> &str {
        self.name.as_deref().or(self.cname.as_deref()).unwrap_or(&self.address)
    }

    fn encode(&self, first: Option<First>, rate: u32) -> String {
        let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "null".into(), quoted);
        let null = || "null".to_owned();
        let Reception { expected, received, lost, repaired, duplicated, reordered, .. } = self.reception;
        let timestamp = first.filter(|_| self.wire == "rtp").map(|first| first.position.0 as u32);
        let arrived = first.map(|first| self.wall.at(first.arrival).unix_seconds());
        let sent = timestamp.zip(self.sender_clock).map(|(timestamp, (ntp, at))| {
            ntp.unix_seconds() + f64::from(timestamp.wrapping_sub(at) as i32) / f64::from(rate)
        });
        let seconds = |time: Option<f64>| time.map_or_else(null, |time| format!("{time:.6}"));
        format!(
            "  \"source\": {{\"number\": {}, \"ssrc\": {}, \"address\": {}, \"protocol\": {}, \"wire\": {}, \
             \"codec\": {}, \"cname\": {}, \"name\": {}}},\n  \
             \"first_frame\": {{\"timestamp\": {}, \"arrived\": {}, \"sent\": {}}},\n  \
             \"packets\": {{\"expected\": {expected}, \"received\": {received}, \"lost\": {lost}, \
             \"repaired\": {repaired}, \"duplicated\": {duplicated}, \"reordered\": {reordered}, \
             \"dropped_local\": {}}},\n",
            self.number,
            self.ssrc,
            quoted(&self.address),
            quoted(self.transport),
            quoted(self.wire),
            quoted(&self.codec),
            optional(&self.cname),
            optional(&self.name),
            timestamp.map_or_else(null, |timestamp| timestamp.to_string()),
            seconds(arrived),
            seconds(sent),
            self.dropped,
        )
    }
}

impl Sidecar<'_> {
    /// The notes as JSON.
    pub fn encode(&self) -> String {
        let mut json = String::new();
        let counts = self.assembly.counts();
        let error = self.error.map_or_else(|| "null".into(), |e| quoted(e.message()));
        let about = self.about.map(|(about, first)| about.encode(first, self.format.rate()));
        // Writing to a string cannot fail.
        let _ = write!(
            json,
            "{{\n  \"file\": {},\n{}  \"format\": {{\"rate\": {}, \"channels\": {}, \"encoding\": \"pcm_s16le\"}},\n  \
             \"started\": {},\n  \"frames\": {},\n  \"finished\": {},\n  \"error\": {error},\n  \
             \"too_late_frames\": {},\n  \"refused_packets\": {},\n  \"refused_frames\": {},\n  \"unrecorded_packets\": {},\n  \
             \"forgotten_sources\": {},\n  \
             \"limits\": {{\"sources\": {MAX_LANES}, \"gaps_per_source\": {MAX_GAPS_PER_SOURCE}, \
             \"gaps\": {MAX_GAPS}}},\n  \"sources\": [",
            quoted(self.file),
            about.unwrap_or_default(),
            self.format.rate(),
            self.format.channels(),
            quoted(self.started),
            self.frames,
            self.finished,
            counts.too_late_frames,
            counts.refused_packets,
            counts.refused_frames,
            self.unrecorded,
            counts.forgotten_sources,
        );
        for (index, (number, lane)) in self.assembly.lanes().enumerate() {
            let tally = lane.tally();
            // A recording of one source knows it by another number.
            let number = self.about.map_or(number, |(about, _)| about.number);
            let label = self.labels.iter().find(|(n, _)| *n == number).map(|(_, text)| text.as_str());
            let label = self.about.map(|(about, _)| about.title()).or(label);
            let first = tally.first_frame.map_or_else(|| "null".into(), |f| f.to_string());
            let _ = write!(
                json,
                "{}\n    {{\"source\": {number}, \"label\": {}, \"first_frame\": {first}, \"frames\": {}, \
                 \"packets\": {}, \"late_frames\": {}, \"doubled_frames\": {}, \"epochs\": {}, \"changes\": [",
                if index == 0 { "" } else { "," },
                label.map_or_else(|| "null".into(), quoted),
                tally.frames,
                tally.packets,
                tally.late_frames,
                tally.doubled_frames,
                tally.epochs,
            );
            for (index, change) in tally.changes().iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let kind = change.kind.name();
                let _ = write!(json, "{comma}{{\"frame\": {}, \"kind\": \"{kind}\"", change.frame);
                if let ChangeKind::Coding(payload_type) = change.kind {
                    let _ = write!(json, ", \"payload_type\": {payload_type}");
                }
                json.push('}');
            }
            let _ = write!(json, "], \"more_gaps\": {}, \"gaps\": [", tally.more_gaps);
            for (index, gap) in tally.gaps().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let _ = write!(json, "{comma}{{\"frame\": {}, \"frames\": {}}}", gap.frame, gap.frames);
            }
            json.push_str("]}");
        }
        json.push_str("\n  ]\n}\n");
        json
    }
}

/// A JSON string (RFC 8259 §7).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                // All control characters lie in the basic plane.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n\u{1f}ü\u{85}"), "\"a\\\"b\\\\c\\u000a\\u001fü\\u0085\"");
    }

    #[test]
    fn an_empty_recording_has_notes_too() {
        let assembly = Assembly::new(Format::DEFAULT, Duration::from_secs(2));
        let notes = Sidecar {
            file: "x.wav",
            format: Format::DEFAULT,
            frames: 0,
            started: "2024-01-01T00:00:00+00:00",
            finished: true,
            error: None,
            unrecorded: 0,
            assembly: &assembly,
            labels: &[],
            about: None,
        };
        let json = notes.encode();
        assert!(json.contains("\"sources\": [\n  ]"), "{json}");
        assert!(json.contains("\"error\": null"), "{json}");
    }
}
