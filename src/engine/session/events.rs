//! What happens to the sources of a server, kept for whoever asks: each listener is told of everything that is still kept, by a
//! cursor of its own.
//!
//! Bounded: so many events are kept, and then the oldest goes. What goes before a listener has seen it is counted.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::stream::digits::Digit;
use crate::engine::time::Micros;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Somebody is heard that was not known, or had left.
    Joined,
    /// It said goodbye, or closed its connection.
    Left,
    /// It has been silent for long: its player was given up.
    Idle,
    /// It goes on.
    Resumed,
    /// Its connection broke, or nothing at all was heard of it for long.
    Lost,
    /// A key was pressed, or another telephone event was heard (RFC 4733).
    Digit,
}

/// Something that happened to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When.
    pub at: Micros,
    /// To whom: the source's number in the session.
    pub source: u32,
    /// What else is known, a few words.
    pub detail: String,
    /// The telephone event, where it is one.
    pub digit: Option<Digit>,
}

/// The events of a session.
#[derive(Debug, Default)]
pub struct Events {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    /// The place of the first one kept, of all that there were.
    first: u64,
    dropped: u64,
    ended: bool,
}

/// What a listener is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// In order.
    pub events: Vec<Event>,
    /// What to ask with next time.
    pub next: u64,
    /// Nothing more will happen.
    pub ended: bool,
}

impl EventKind {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Idle => "idle",
            Self::Resumed => "resumed",
            Self::Lost => "lost",
            Self::Digit => "digit",
        }
    }
}

impl Events {
    /// Something has happened.
    pub fn happened(&self, event: Event) {
        let mut kept = self.lock();
        if kept.events.len() == MOST {
            kept.events.pop_front();
            kept.first += 1;
        }
        kept.events.push_back(event);
        drop(kept);
        self.changed.notify_all();
    }

    /// Nothing more will.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// What has happened since `cursor`, as soon as anything has, or nothing after `timeout`. Without a cursor, all that is
    /// kept.
    pub fn wait(&self, cursor: Option<u64>, timeout: Duration) -> Told {
        let end = |kept: &Kept| kept.first + kept.events.len() as u64;
        let kept = self.lock();
        let cursor = cursor.unwrap_or(kept.first);
        let nothing = |kept: &mut Kept| !kept.ended && end(kept) <= cursor;
        let waited = self.changed.wait_timeout_while(kept, timeout, nothing);
        let mut kept = waited.unwrap_or_else(PoisonError::into_inner).0;
        kept.dropped += kept.first.saturating_sub(cursor);
        let seen = cursor.saturating_sub(kept.first) as usize;
        let events = kept.events.iter().skip(seen).cloned().collect();
        Told { events, next: end(&kept).max(cursor), ended: kept.ended }
    }

    /// Events that went before a listener had seen them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events kept.
pub const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(source: u32) -> Event {
        let at = Micros(u64::from(source));
        Event { kind: EventKind::Joined, at, source, detail: String::new(), digit: None }
    }

    fn sources(told: &Told) -> Vec<u32> {
        told.events.iter().map(|event| event.source).collect()
    }

    #[test]
    fn every_listener_is_told_of_everything_once() {
        let events = Events::default();
        (1..=3).for_each(|n| events.happened(event(n)));
        let one = events.wait(None, Duration::ZERO);
        assert_eq!((sources(&one), one.next, one.ended), (vec![1, 2, 3], 3, false));
        events.happened(event(4));
        assert_eq!(sources(&events.wait(Some(one.next), Duration::ZERO)), [4]);
        assert_eq!(sources(&events.wait(None, Duration::ZERO)), [1, 2, 3, 4], "another one");
        let none = events.wait(Some(4), Duration::from_millis(1));
        assert_eq!((sources(&none), none.next), (vec![], 4));
        assert_eq!(events.dropped(), 0);
    }

    #[test]
    fn who_listens_too_slowly_misses_the_oldest_by_count() {
        let events = Events::default();
        (0..10).for_each(|n| events.happened(event(n)));
        let next = events.wait(None, Duration::ZERO).next;
        (0..MOST as u32 + 7).for_each(|n| events.happened(event(100 + n)));
        let told = events.wait(Some(next), Duration::ZERO);
        assert_eq!((told.events.len(), told.events[0].source, events.dropped()), (MOST, 107, 7));
        // Who has not listened has missed nothing.
        let told = events.wait(None, Duration::ZERO);
        assert_eq!((told.events.len(), events.dropped()), (MOST, 7));
    }

    #[test]
    fn the_end_wakes_whoever_waits() {
        let events = Events::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| events.wait(None, Duration::from_secs(30)));
            events.end();
            let told = waiting.join().unwrap();
            assert!(told.ended && told.events.is_empty());
        });
        events.happened(event(1));
        let told = events.wait(Some(0), Duration::from_secs(30));
        assert_eq!(sources(&told), [1], "what has happened is told all the same");
    }
}
