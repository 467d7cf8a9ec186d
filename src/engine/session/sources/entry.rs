//! What is said of one source.

use super::{Entry, Name};
use crate::engine::config::Wire;
use crate::engine::format::Format;
use crate::engine::playout::counters::PlayerCounters;
use crate::engine::session::outlet::Outlet;
use crate::engine::session::reporting::{Correspondence, Way};
use crate::engine::session::talking::Talk;
use crate::engine::stats::{Presence, Reception, SourceStats};
use crate::engine::stream::reports::Listener;
use crate::engine::time::Micros;

impl Entry {
    /// Begins to report to it, over RTP.
    pub(super) fn correspond(&mut self, name: &Name, way: Way, arrival: Micros) {
        let (format, connected) = (self.encoding.format, name.connected);
        self.reports = (name.wire == Wire::Rtp)
            .then(|| Box::new(Correspondence::new(name.ssrc, format, way, connected, arrival)));
    }

    pub(super) fn counts(&self) -> bool {
        self.receiver.is_believed() && !matches!(self.outlet, Outlet::Unplayable)
    }

    /// When anything of it came last, sound or report.
    pub(super) fn last_sign(&self) -> Micros {
        let reported = self.reports.as_ref().map_or(Micros::ZERO, |reports| reports.last_heard());
        self.last_arrival.max(reported)
    }

    /// Whether it is there.
    pub(super) fn presence(&self) -> Presence {
        match (self.outlet.is_playing(), self.gone) {
            (true, _) => Presence::Playing,
            (false, false) => Presence::Idle,
            (false, true) => Presence::Left,
        }
    }

    /// Its figures with the jitter in frames of `format`, so that it can be held against others'.
    pub(super) fn reception_at(&self, format: Format) -> Reception {
        let mut reception = self.receiver.reception();
        let ratio = f64::from(format.rate()) / f64::from(self.encoding.format.rate());
        reception.jitter_frames *= ratio;
        reception.jitter_mean_frames *= ratio;
        reception
    }

    /// Its name and what it sends.
    pub(super) fn title(&self, name: &Name) -> String {
        format!("{name}, {}", self.receiver.encoding())
    }

    pub(super) fn stats(&self, name: &Name) -> SourceStats {
        let listener = self.reports.as_deref().map(Correspondence::listener);
        let (counters, coding) = (self.outlet.counters(), self.receiver.encoding());
        let (packets_sent, packets_withheld) = self.answer.talk().map(Talk::counts).unwrap_or_default();
        SourceStats {
            number: self.number,
            presence: self.presence(),
            gain: counters.map_or(1.0, PlayerCounters::gain),
            muted: counters.is_some_and(PlayerCounters::is_muted),
            packets_sent,
            packets_withheld,
            ssrc: name.ssrc,
            address: name.address,
            protocol: name.protocol(),
            wire: name.wire,
            coding,
            last_sequence: self.receiver.last_sequence(),
            reception: self.reception_at(coding.format),
            playback: counters.map(PlayerCounters::snapshot).unwrap_or_default(),
            dropped_local: self.dropped,
            round_trip_ms: listener.and_then(Listener::round_trip).map(|trip| trip.as_secs_f64() * 1e3),
            cname: listener.and_then(Listener::cname).map(Into::into),
            name: listener.and_then(Listener::name).map(Into::into),
            quality: None,
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.wire {
            Wire::Rtp => write!(f, "{} (rtp, ssrc {:08x})", self.address, self.ssrc),
            Wire::Classic => write!(f, "{} (classic)", self.address),
        }
    }
}
