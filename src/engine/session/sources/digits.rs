//! Telephone events (RFC 4733) of the sources, told as they end; and sound that waits for what no longer follows.

use std::time::Duration;

use super::presence::log_event;
use super::{Name, Sources};
use crate::engine::session::events::{Event, EventKind};
use crate::engine::stream::digits::Digit;
use crate::engine::time::Micros;
use crate::engine::wire::event;

impl Sources {
    /// Tells the events of a source that are over.
    pub(super) fn tell_digits(&mut self, name: &Name, now: Micros) {
        while let Some(entry) = self.entries.get_mut(name)
            && let Some(digit) = entry.receiver.take_digit(now)
        {
            let source = entry.number;
            self.tell_digit(name, source, digit, now);
        }
    }

    /// Now and then: events whose end was lost are told, and sound that is converted does not wait for what may never follow.
    pub(super) fn sweep_sound(&mut self, now: Micros) {
        let (mut waiting, mut digits) = (Vec::new(), Vec::new());
        for (name, entry) in &mut self.entries {
            while let Some(digit) = entry.receiver.take_digit(now) {
                digits.push((*name, entry.number, digit));
            }
            if entry.receiver.waits() && now.since(entry.last_arrival) > PATIENCE {
                waiting.push(*name);
            }
        }
        for (name, source, digit) in digits {
            self.tell_digit(&name, source, digit, now);
        }
        for name in waiting {
            self.feed(&name, &mut |receiver, deliver| receiver.rest_sound(deliver));
        }
    }

    fn tell_digit(&mut self, name: &Name, source: u32, digit: Digit, now: Micros) {
        let detail = format!("{}, {} ms", event::name(digit.code), digit.duration.as_millis());
        if self.may_tell(now) {
            log_event(EventKind::Digit, name, &detail);
        }
        self.events.happened(Event { kind: EventKind::Digit, at: now, source, detail, digit: Some(digit) });
    }
}

/// After so long without a packet nothing follows for now.
const PATIENCE: Duration = Duration::from_millis(200);
