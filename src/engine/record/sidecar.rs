//! The notes beside a server's recording: what came from whom, and where silence stands for what did not. Pure.

use std::fmt::Write;

use super::assembly::{Assembly, MAX_GAPS, MAX_GAPS_PER_SOURCE, MAX_LANES};
use crate::engine::error::Error;
use crate::engine::format::Format;

/// Silence in the place of sound that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The recording's frame where it begins.
    pub frame: u64,
    /// Its length.
    pub frames: u64,
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
    /// What was recorded.
    pub assembly: &'a Assembly,
    /// What the sources are called, by number.
    pub labels: &'a [(u32, String)],
}

impl Sidecar<'_> {
    /// The notes as JSON.
    pub fn encode(&self) -> String {
        let mut json = String::new();
        let counts = self.assembly.counts();
        let error = self.error.map_or_else(|| "null".into(), |e| quoted(e.message()));
        // Writing to a string cannot fail.
        let _ = write!(
            json,
            "{{\n  \"file\": {},\n  \"format\": {{\"rate\": {}, \"channels\": {}, \"encoding\": \"pcm_s16le\"}},\n  \
             \"started\": {},\n  \"frames\": {},\n  \"finished\": {},\n  \"error\": {error},\n  \
             \"too_late_frames\": {},\n  \"refused_packets\": {},\n  \"forgotten_sources\": {},\n  \
             \"limits\": {{\"sources\": {MAX_LANES}, \"gaps_per_source\": {MAX_GAPS_PER_SOURCE}, \
             \"gaps\": {MAX_GAPS}}},\n  \"sources\": [",
            quoted(self.file),
            self.format.rate(),
            self.format.channels(),
            quoted(self.started),
            self.frames,
            self.finished,
            counts.too_late_frames,
            counts.refused_packets,
            counts.forgotten_sources,
        );
        for (index, (number, lane)) in self.assembly.lanes().enumerate() {
            let tally = lane.tally();
            let label = self.labels.iter().find(|(n, _)| *n == number);
            let first = tally.first_frame.map_or_else(|| "null".into(), |f| f.to_string());
            let _ = write!(
                json,
                "{}\n    {{\"source\": {number}, \"label\": {}, \"first_frame\": {first}, \"frames\": {}, \
                 \"packets\": {}, \"late_frames\": {}, \"epochs\": {}, \"more_gaps\": {}, \"gaps\": [",
                if index == 0 { "" } else { "," },
                label.map_or_else(|| "null".into(), |(_, text)| quoted(text)),
                tally.frames,
                tally.packets,
                tally.late_frames,
                tally.epochs,
                tally.more_gaps,
            );
            for (index, gap) in tally.gaps.iter().enumerate() {
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
            assembly: &assembly,
            labels: &[],
        };
        let json = notes.encode();
        assert!(json.contains("\"sources\": [\n  ]"), "{json}");
        assert!(json.contains("\"error\": null"), "{json}");
    }
}
