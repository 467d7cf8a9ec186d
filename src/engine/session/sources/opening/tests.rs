//! Sealed packets, and whatever strangers make of them, in virtual time.

use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::config::{Output, ServerConfig};
use crate::engine::stats::{Reception, ServerStats};
use crate::engine::stream::queue::{PacketReader, packet_queue};
use crate::engine::wire::rtcp::{SenderInfo, write_description, write_sender_report};
use crate::engine::wire::rtp::RtpHeader;

const MS: Duration = Duration::from_millis(1);
const SSRC: u32 = 77;
const KEYS: [&str; 3] = [
    "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
];

/// A server without sockets, and what it records.
struct Scene {
    sources: Sources,
    recorder: PacketReader,
    recorded: Vec<(u32, u64, Vec<i16>)>,
    now: Micros,
}

impl Scene {
    fn new(key: Option<&str>) -> Self {
        let config =
            ServerConfig { key: key.map(self::key), output: Output::Null, ..ServerConfig::default() };
        let mut sources = Sources::new(config.validated().unwrap());
        let (queue, recorder) = packet_queue(4096, 20 * 44_100, 1);
        sources.set_recorder(Some((queue, Arc::new(Mutex::default()))));
        Self { sources, recorder, recorded: Vec::new(), now: Micros(3_600_000_000) }
    }

    fn hear(&mut self, address: SocketAddr, bytes: &[u8]) {
        self.sources.datagram(Path::from(address), self.now, bytes);
        let Self { recorder, recorded, .. } = self;
        while recorder.pop(|head, samples| recorded.push((head.source, head.position.0, samples.to_vec()))) {}
    }

    fn hear_all(&mut self, address: SocketAddr, packets: &[Vec<u8>]) {
        for packet in packets {
            self.hear(address, packet);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.sources.sweep(self.now);
    }

    fn stats(&self) -> ServerStats {
        self.sources.stats()
    }

    fn held(&self) -> usize {
        self.sources.opening.as_ref().map_or(0, |opening| opening.held())
    }

    /// What is known of the first source, times left out.
    fn figures(&self) -> (Reception, Option<String>, usize) {
        let stats = self.stats();
        (stats.reception, stats.sources.first().and_then(|source| source.cname.clone()), stats.sources.len())
    }
}

/// A client that seals by itself.
struct Talker {
    sealer: Sealer,
    ssrc: u32,
    number: u32,
}

impl Talker {
    fn new(text: &str, ssrc: u32, nonce: u8) -> Self {
        let sealer = Sealer::new(&key(text), Way::ToServer, Nonce([nonce; Nonce::LEN]), ssrc);
        Self { sealer, ssrc, number: 0 }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.sealer.seal_rtp(&sound(self.ssrc, self.number), &mut sealed).unwrap();
        self.number += 1;
        sealed
    }

    fn report(&mut self) -> Vec<u8> {
        let (mut bytes, mut sealed) = (Vec::new(), Vec::new());
        write_sender_report(
            self.ssrc,
            &SenderInfo { ntp: 9 << 32, ..SenderInfo::default() },
            &[],
            &mut bytes,
        );
        write_description(self.ssrc, &[(1, "me")], &mut bytes);
        self.sealer.seal_rtcp(&bytes, &mut sealed).unwrap();
        sealed
    }

    /// Sends, to nobody, until the sequence number has wrapped so often.
    fn wrap(&mut self, rollovers: u32) {
        while self.number < rollovers << 16 {
            self.number += 0x4000;
            self.next();
        }
    }
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 5004))
}

fn sound(ssrc: u32, number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let timestamp = number.wrapping_mul(441);
    RtpHeader { payload_type: 11, sequence: number as u16, timestamp, ssrc, ..RtpHeader::default() }
        .write(&mut bytes);
    for n in 0..441u32 {
        let noise = timestamp.wrapping_add(n).wrapping_mul(0x9e37_79b9) >> 20;
        bytes.extend_from_slice(&(noise as i16 - 2048).to_be_bytes());
    }
    bytes
}

#[test]
fn what_strangers_make_of_sealed_packets_changes_nothing_to_the_bit() {
    for text in KEYS {
        let (mut quiet, mut loud) = (Scene::new(Some(text)), Scene::new(Some(text)));
        let mut talker = Talker::new(text, SSRC, 3);
        let mut other = Talker::new(KEYS.iter().find(|other| **other != text).unwrap(), SSRC, 4);
        let mut past: Vec<Vec<u8>> = Vec::new();
        let mut sent = 0;
        for n in 0..400_usize {
            let packet = if n % 50 == 49 { talker.report() } else { talker.next() };
            for scene in [&mut quiet, &mut loud] {
                scene.hear(at(1), &packet);
            }
            past.push(packet);
            let old = past[n * 7 % past.len()].clone();
            let mut flipped = old.clone();
            let bit = n * 31 % (8 * flipped.len());
            flipped[bit / 8] ^= 1 << (bit % 8);
            let cut = old[..n * 17 % old.len()].to_vec();
            let plain = sound(SSRC, n as u32);
            for bytes in [old, flipped, cut, plain, other.next()] {
                for address in [at(1), at(2), SocketAddr::from(([192, 0, 2, 1], 9))] {
                    loud.hear(address, &bytes);
                    sent += 1;
                }
            }
            for scene in [&mut quiet, &mut loud] {
                scene.pass(10 * MS);
            }
        }
        assert!(quiet.recorded == loud.recorded, "{text}");
        assert_eq!(quiet.figures(), loud.figures());
        assert_eq!(quiet.stats().reception.received, 392);
        let stats = loud.stats();
        assert_eq!(stats.unauthentic + stats.wrong_source, sent);
        assert_eq!((stats.malformed, stats.refused, loud.held()), (0, 0, 1));
    }
}

#[test]
fn who_joins_after_the_wrap_hears() {
    for text in KEYS {
        for rollovers in [1, 9] {
            for report_first in [false, true] {
                let mut scene = Scene::new(Some(text));
                let mut talker = Talker::new(text, SSRC, 3);
                talker.wrap(rollovers);
                if report_first {
                    scene.hear(at(1), &talker.report());
                }
                for _ in 0..100 {
                    scene.hear(at(1), &talker.next());
                    scene.pass(10 * MS);
                }
                assert_eq!((scene.stats().reception.received, scene.stats().unauthentic), (100, 0), "{text}");
            }
        }
    }
}

#[test]
fn who_comes_back_after_a_long_silence_is_heard_and_its_past_is_not() {
    for text in KEYS {
        let mut scene = Scene::new(Some(text));
        let mut talker = Talker::new(text, SSRC, 3);
        let past: Vec<_> = (0..50).map(|_| talker.next()).collect();
        scene.hear_all(at(1), &past);
        talker.wrap(3);
        scene.pass(Duration::from_secs(600));
        for _ in 0..50 {
            scene.hear(at(1), &talker.next());
            scene.pass(10 * MS);
        }
        assert_eq!((scene.stats().reception.received, scene.stats().unauthentic), (100, 0), "{text}");
        let recorded = scene.recorded.len();
        scene.pass(Duration::from_secs(600));
        // All of it again, from wherever.
        for (n, packet) in past.iter().enumerate() {
            scene.hear(at(n as u8), packet);
        }
        assert_eq!((scene.recorded.len(), scene.stats().unauthentic), (recorded, 50), "{text}");
    }
}

#[test]
fn a_stream_that_had_to_go_is_not_heard_again_under_a_key_of_our_own() {
    let mut scene = Scene::new(Some(KEYS[0]));
    let mut talker = Talker::new(KEYS[0], SSRC, 3);
    let past: Vec<_> = (0..10).map(|_| talker.next()).collect();
    scene.hear_all(at(1), &past);
    for n in 0..MOST_STREAMS as u32 {
        scene.pass(10 * MS);
        scene.hear(at(2), &Talker::new(KEYS[0], 1000 + n, 4).next());
        assert!(scene.held() <= MOST_STREAMS);
    }
    scene.pass(Duration::from_secs(60));
    let before = scene.stats().unauthentic;
    scene.hear_all(at(3), &past);
    assert_eq!(scene.stats().unauthentic, before + 10);
}

#[test]
fn who_moves_goes_on_once_its_old_address_is_silent() {
    for text in KEYS {
        let mut scene = Scene::new(Some(text));
        let mut talker = Talker::new(text, SSRC, 3);
        (0..10).for_each(|_| scene.hear(at(1), &talker.next()));
        scene.hear(at(2), &talker.next());
        assert_eq!((scene.stats().wrong_source, scene.stats().unauthentic), (1, 0));
        scene.pass(Duration::from_secs(11));
        (0..10).for_each(|_| scene.hear(at(2), &talker.next()));
        assert_eq!(scene.stats().reception.received, 20, "{text}");
        assert_eq!(scene.held(), 1);
    }
}

#[test]
fn strangers_are_not_remembered_and_searches_for_them_are_few() {
    for text in KEYS {
        let mut scene = Scene::new(Some(text));
        for n in 0..5_000_u32 {
            let [_, b, c, d] = n.to_be_bytes();
            scene.hear(SocketAddr::from(([10, b, c, d], 5004)), &sound(n, n));
        }
        assert_eq!((scene.held(), scene.stats().unauthentic, scene.stats().sources.len()), (0, 5_000, 0));
        let spent = scene.sources.opening.as_ref().unwrap().searches.spent.len();
        assert!(spent <= MOST_SEARCHES);
        // In the next second an honest one is found.
        scene.pass(Duration::from_secs(1));
        let mut talker = Talker::new(text, SSRC, 3);
        talker.wrap(2);
        (0..10).for_each(|_| scene.hear(at(1), &talker.next()));
        assert_eq!(scene.stats().reception.received, 10, "{text}");
    }
}

#[test]
fn one_place_has_few_searches_and_leaves_some_to_others() {
    let mut searches = Searches::default();
    let place = |last| Place::from(at(last).ip());
    assert_eq!((0..100).filter(|_| searches.spend(place(1), Micros(0))).count(), MOST_SEARCHES_THERE);
    assert!(searches.spend(place(2), Micros(0)));
    assert_eq!((0..200).filter(|n| searches.spend(place(*n), Micros(0))).count(), MOST_SEARCHES - 5);
    assert!(searches.spend(place(1), Micros(1_000_000)));
}

#[test]
fn without_a_key_what_is_sealed_is_not_heard() {
    for text in KEYS {
        let mut scene = Scene::new(None);
        let mut talker = Talker::new(text, SSRC, 3);
        // A nonce is random.
        talker.sealer = Sealer::new(&key(text), Way::ToServer, random_nonce().unwrap(), SSRC);
        for _ in 0..200 {
            scene.hear(at(1), &talker.next());
            scene.pass(10 * MS);
        }
        scene.hear(at(1), &talker.report());
        assert!(scene.recorded.is_empty(), "{text}");
        assert!(scene.stats().unauthentic >= 199, "{text}");
        // What is plain is, of any loudness.
        for shift in [0, 1, 4, 8, 12, 16] {
            let mut scene = Scene::new(None);
            for n in 0..100_u32 {
                let mut packet = sound(SSRC, n);
                for sample in packet[12..].chunks_exact_mut(2) {
                    let value = (i32::from(i16::from_be_bytes([sample[0], sample[1]])) << 4) >> shift;
                    sample.copy_from_slice(&(value as i16).to_be_bytes());
                }
                scene.hear(at(1), &packet);
            }
            assert_eq!((scene.stats().reception.received, scene.stats().unauthentic), (100, 0));
        }
    }
}

#[test]
fn answers_under_a_foreign_key_share_no_counter() {
    for text in KEYS {
        let mut opening = Opening::new(key(text));
        let (mut first, mut second) = (Talker::new(text, 1, 1), Talker::new(text, 2, 2));
        let (mut out, now) = (Vec::new(), Micros(0));
        opening.open(at(1), now, &first.next(), &mut out).unwrap();
        opening.open(at(2), now, &second.next(), &mut out).unwrap();
        let names = [(1, 1), (2, 2)].map(|(ssrc, last)| Name {
            address: at(last),
            wire: Wire::Rtp,
            ssrc,
            connected: false,
        });
        let mut sealed_for = |name: &Name| {
            let mut bytes = Vec::new();
            write_description(9, &[(1, "me")], &mut bytes);
            sealed(Some(&mut opening), name, 9, Letter { way: name.address.into(), bytes })
        };
        let answers: Vec<_> = names.iter().map(|name| sealed_for(name).unwrap().bytes).collect();
        // Under one key one SSRC counts on; under keys of their own each begins anew.
        let mut opener = Opener::new(&key(text), Way::ToClient(Nonce([1; Nonce::LEN])), 9, 1);
        assert!(opener.open_rtcp(&answers[0], &mut out).is_ok());
        assert_eq!(opener.open_rtcp(&answers[1], &mut out).is_ok(), key(text).form() != KeyForm::Audiostream);
        // Who has not proved to be there gets none with a key of our own: there is none for it.
        let nobody = Name { ssrc: 3, ..names[0] };
        assert_eq!(sealed_for(&nobody).is_none(), key(text).form() == KeyForm::Audiostream);
    }
}
