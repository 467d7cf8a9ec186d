//! A source that is known takes its packets: they are counted, played, recorded, sent on.

use std::net::SocketAddr;

use super::suspicion::NEW;
use super::telling::tell;
use super::{Correspondence, Entry, Name, Outlet, Sources, TARGET, recording};
use crate::engine::ahead;
use crate::engine::config::Wire;
use crate::engine::session::reporting::Way;
use crate::engine::stats::Reception;
use crate::engine::stream::queue::Head;
use crate::engine::stream::receiver::{Receiver, Verdict};
use crate::engine::time::Micros;
use crate::engine::wire::rtp;

/// Takes a packet's sound.
type Deliver<'a> = &'a mut dyn FnMut(Head, &[i16]);

impl Sources {
    /// Takes a packet of a source that plays and is nothing new, of which nothing is to be decided: nearly all are such. False
    /// for the others.
    pub(super) fn goes_on(&mut self, name: &Name, way: Way, arrival: Micros, bytes: &[u8]) -> bool {
        let goes_on = self.entries.get(name).is_some_and(|entry| entry.goes_on(arrival));
        if goes_on {
            self.take(name, way, arrival, bytes);
        }
        goes_on
    }

    /// A source takes a packet.
    pub(super) fn take(&mut self, name: &Name, way: Way, arrival: Micros, bytes: &[u8]) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.last_arrival = arrival;
        if let Some(reports) = &mut entry.reports {
            reports.came(way);
        }
        if entry.receiver.is_silent()
            && let Some((_, encoding)) = rtp::sound_of(bytes, &self.config.payloads)
            && entry.receiver.expect(encoding)
        {
            entry.encoding = encoding;
            entry.correspond(name, way, arrival);
        }
        let before = entry.receiver.received();
        let (coding, silent) = (entry.receiver.encoding(), entry.receiver.silent());
        let Some(verdict) =
            self.feed(name, &mut |receiver, deliver| receiver.receive(bytes, arrival, deliver))
        else {
            return;
        };
        let Some(entry) = self.entries.get_mut(name) else { return };
        let (receiver, counted) = (&mut entry.receiver, !matches!(entry.outlet, Outlet::Unplayable));
        self.malformed += receiver.take_refused();
        let sequence = receiver.last_sequence();
        let (now, without_sound) = (receiver.encoding(), receiver.silent() > silent);
        match verdict {
            Ok(verdict) => {
                let receiver_believed = receiver.is_believed();
                if receiver_believed && counted {
                    self.packets += receiver.received() - before;
                    self.last_sequence = Some(sequence);
                    tell(name, receiver, verdict, bytes.len(), arrival, &mut self.access.budget);
                }
                self.onward = self.onward.after(*name, receiver_believed, verdict);
                self.log(name.address, arrival, Some(sequence), bytes, verdict.name());
                if now != coding && before > 0 && self.may_tell(arrival) {
                    log::info!(target: TARGET, "{name} sends {now} from now on, after {coding}");
                }
                if without_sound {
                    self.hint_of(name, bytes, arrival);
                    self.tell_digits(name, arrival);
                }
                if verdict == Verdict::Believed {
                    self.reporting.hurry(arrival);
                    self.access.strangers.remove(name);
                    self.forget_copies(name);
                }
            }
            Err(why) => self.disbelieve(name, arrival, bytes, why),
        }
    }

    /// Datagrams come later and soon: what their sources need is fetched meanwhile.
    pub fn expect(&self, next: [Option<(SocketAddr, &[u8])>; 2]) {
        let [later, soon] = next.map(|next| {
            let (address, bytes) = next?;
            self.entries.get(&Name { address, wire: Wire::Rtp, ssrc: rtp::ssrc(bytes)?, connected: false })
        });
        if let Some(entry) = later {
            ahead::fetch(entry);
            ahead::fetch(&*entry.receiver);
            if let Some(reports) = &entry.reports {
                reports.fetch();
            }
            if let Outlet::Playing { queue: Some(queue), .. } = &entry.outlet {
                queue.fetch(true);
            }
        }
        if let Some(entry) = soon {
            entry.receiver.fetch();
            if let Outlet::Playing { queue: Some(queue), .. } = &entry.outlet {
                queue.fetch(false);
            }
        }
    }

    /// Lets a source's receiver take something; what it delivers is played and recorded.
    pub(super) fn feed<R>(
        &mut self,
        name: &Name,
        take: &mut dyn FnMut(&mut Receiver, Deliver<'_>) -> R,
    ) -> Option<R> {
        let Entry { number, encoding, receiver, outlet, dropped, last_arrival, recorded, reports, .. } =
            self.entries.get_mut(name)?;
        let now = *last_arrival;
        let begins = self.out.tracks.as_ref().is_some_and(|tracks| tracks.wants(recorded));
        let before = if begins && *number != 0 { receiver.reception() } else { Reception::default() };
        let wall = self.reporting.wall();
        let (config, out, next_number) = (&self.config, &mut self.out, &mut self.next_number);
        let was_playing = outlet.is_playing();
        receiver.lend(&mut self.room);
        let taken = take(receiver, &mut |head, samples| {
            if *number == 0 {
                *number = *next_number;
                *next_number = next_number.wrapping_add(1).max(1);
            }
            let head = Head { source: *number, ..head };
            if head.frames == 0 {
                // Nothing of it is heard, but that nothing is missing there.
                if let Outlet::Playing { queue: Some(queue), .. } = outlet {
                    queue.push(head, samples);
                }
                return;
            }
            outlet.open(config, *encoding, out, name, *number);
            if let Outlet::Playing { queue: Some(queue), .. } = outlet
                && !queue.push(head, samples)
            {
                *dropped += 1;
            }
            if !matches!(outlet, Outlet::Unplayable) {
                out.record(head, samples, encoding.format);
                if let Some(tracks) = &mut out.tracks {
                    if begins && tracks.wants(recorded) {
                        let listener = reports.as_deref().map(Correspondence::listener);
                        let about = || recording::about(name, *number, *encoding, listener, wall);
                        tracks.begin_each(recorded, encoding.format, before, about);
                    }
                    tracks.record(recorded, head, samples);
                }
            }
            out.read(&head, samples, encoding.format);
        });
        receiver.lend(&mut self.room);
        if !was_playing && outlet.is_playing() {
            self.appeared(*name, now);
        }
        Some(taken)
    }
}

impl Entry {
    /// Whether it is no copy of another source, nor suspected of anything, nor anything but a source that plays.
    fn goes_on(&self, now: Micros) -> bool {
        self.outlet.is_playing()
            && self.receiver.is_believed()
            && self.receiver.received() >= NEW
            && !self.is_too_fast(now)
    }
}
