use std::f64::consts::TAU;
use std::sync::Arc;

use super::*;
use crate::engine::config::{ClientConfig, Output};
use crate::engine::key::Key;
use crate::engine::playout::conceal::Tier;
use crate::engine::playout::render::{Render, Renderer, Starved};
use crate::engine::session::hearing::heard_by;
use crate::engine::session::impairment::Impairment;
use crate::engine::session::mouth::Guest;
use crate::engine::session::sealing::Sealing;
use crate::engine::session::sources::Sources;
use crate::engine::sim::config::LinkConfig;
use crate::engine::stats::Presence;
use crate::engine::time::Clock;
use std::net::SocketAddr;

const BLOCK: usize = 441;
const STEP: Duration = Duration::from_millis(10);
const LINK: &str = "loss=5,jitter=30,seed=";
/// What each says: a tone of its own, at -16 dBFS.
const TONES: [f64; 3] = [500.0, 1_100.0, 1_900.0];
const SERVER: usize = 2;

/// One that speaks and hears, in virtual time, as [`Sending`](crate::engine::session::sending::Sending) does.
struct Caller {
    address: SocketAddr,
    tone: f64,
    said: u64,
    sender: Sender,
    speaker: Speaker,
    sealing: Option<Sealing>,
    sources: Sources,
    renderer: Renderer,
    heard: Vec<f32>,
    up: Impairment<()>,
    down: Impairment<()>,
    /// Packets of sound that have come back.
    answers: u64,
    deaf: bool,
}

/// A server and those who call it.
struct Room {
    now: Micros,
    wall: WallClock,
    dice: Dice,
    sources: Sources,
    renderer: Renderer,
    guest: Option<Guest>,
    said: u64,
    heard: Vec<f32>,
    callers: Vec<Caller>,
}

fn tone(hz: f64, from: u64) -> Vec<i16> {
    (from..from + BLOCK as u64).map(|n| ((n as f64 * hz * TAU / 44_100.0).sin() * 5_000.0) as i16).collect()
}

/// How loud a tone is in a sound, 1 being as loud as it was said: by tenths of a second, for playout shifts the phase.
fn loudness(sound: &[f32], hz: f64) -> f64 {
    let powers = sound.chunks_exact(4_410).map(|piece| goertzel(piece, hz).powi(2));
    (powers.sum::<f64>() / (sound.len() / 4_410) as f64).sqrt()
}

fn goertzel(sound: &[f32], hz: f64) -> f64 {
    let (mut one, mut two) = (0.0, 0.0);
    let turn = 2.0 * (hz * TAU / 44_100.0).cos();
    for sample in sound {
        (one, two) = (f64::from(*sample) + turn * one - two, one);
    }
    let power = one * one + two * two - turn * one * two;
    power.sqrt() * 2.0 / sound.len() as f64 / (5_000.0 / 32_768.0)
}

impl Caller {
    fn new(n: usize, link: &str, key: Option<&Key>, now: Micros, clock: Clock) -> Self {
        let config = ClientConfig { output: Some(Output::Null), ..ClientConfig::default() };
        let ssrc = 0x1000 + n as u32;
        let outline = Outline::l16(Wire::Rtp, Format::DEFAULT, BlockSize::default(), None);
        let (mut renderer, roster, _) = Renderer::new(Format::DEFAULT, 4, BLOCK, Duration::ZERO).unwrap();
        renderer.set_tier(Tier::Pitch);
        let mut sources = heard_by(&config, Output::Null, ssrc, clock);
        sources.set_roster(roster);
        let link = |seed: usize| Impairment::new(LinkConfig::parse(&format!("{link}{seed}")).unwrap());
        Self {
            address: SocketAddr::from(([192, 0, 2, n as u8 + 1], 5004)),
            tone: TONES[n],
            said: 0,
            sender: Sender::new(&outline, ssrc, 100, 7).unwrap(),
            speaker: Speaker::new(party(ssrc, None), 44_100, 705_600.0, now).eager(),
            sealing: key.map(|key| Sealing::new(key.clone(), ssrc).unwrap()),
            sources,
            renderer,
            heard: Vec::new(),
            up: link(2 * n + 1),
            down: link(2 * n + 2),
            answers: 0,
            deaf: false,
        }
    }

    fn say(&mut self, bytes: &[u8], now: Micros) {
        let sealed = match &mut self.sealing {
            None => Some(bytes),
            Some(sealing) if rtp::is_rtcp(bytes) => sealing.report(bytes).unwrap(),
            Some(sealing) => sealing.sound(bytes, false).unwrap(),
        };
        if let Some(sealed) = sealed {
            self.up.enter(now, (), sealed);
        }
    }

    fn pass(&mut self, now: Micros, wall: WallClock, dice: &mut Dice, server: SocketAddr) {
        let sound = tone(self.tone, self.said);
        self.said += BLOCK as u64;
        let mut packets = Vec::new();
        self.sender.push(&sound, &mut |packet| packets.push(packet.bytes.to_vec()));
        for packet in packets {
            let (header, payload) = rtp::parse(&packet).unwrap();
            self.speaker.sent(header.timestamp, payload.len(), packet.len(), STEP, now);
            self.say(&packet, now);
        }
        while let Some((arrival, (), bytes)) = self.down.leave(now) {
            let bytes = self.sealing.as_mut().map_or(bytes, |sealing| sealing.open(bytes).unwrap()).to_vec();
            self.answers += u64::from(!rtp::is_rtcp(&bytes));
            if self.deaf {
                continue;
            }
            self.sources.datagram(server.into(), arrival, &bytes);
            if let Ok(compound) = Compound::parse(&bytes) {
                self.speaker.hear(compound, arrival, &wall);
            }
        }
        self.sources.sweep(now);
        for letter in self.sources.letters(now) {
            self.say(&letter.bytes, now);
        }
        let mut report = Vec::new();
        if self.speaker.report(now, &wall, &mut || dice.chance(), &mut report) {
            self.say(&report, now);
        }
        let mut out = [0.0; BLOCK];
        self.renderer.render(now, &mut out, Starved::Advance);
        self.heard.extend_from_slice(&out);
    }
}

impl Room {
    fn new(callers: usize, link: &str, key: Option<&str>, conference: bool) -> Self {
        let key = key.map(|text| Key::parse(text).unwrap());
        let clock = Clock::new();
        let now = Micros(3_600_000_000);
        let talk = Some(crate::engine::config::Input::Tone);
        let config = ServerConfig {
            output: Output::Null,
            conference,
            talk,
            key: key.clone(),
            ..ServerConfig::default()
        };
        let mut sources = Sources::new(config.validated().unwrap());
        sources.reporting.begin(clock, false);
        let (mut renderer, mut roster, _) = Renderer::new(Format::DEFAULT, 4, BLOCK, Duration::ZERO).unwrap();
        renderer.set_tier(Tier::Pitch);
        let (guest, player) = Guest::new(Format::DEFAULT, clock, Arc::default());
        assert!(roster.add(player));
        sources.set_roster(roster);
        sources.set_talking(Talking::new(None));
        Self {
            now,
            wall: WallClock::new(now, Duration::from_secs(1_800_000_000)),
            dice: Dice::new(),
            sources,
            renderer,
            guest: conference.then_some(guest),
            said: 0,
            heard: Vec::new(),
            callers: (0..callers).map(|n| Caller::new(n, link, key.as_ref(), now, clock)).collect(),
        }
    }

    fn pass(&mut self) {
        let now = self.now;
        let server = SocketAddr::from(([192, 0, 2, 99], 12_345));
        for caller in &mut self.callers {
            while let Some((arrival, (), bytes)) = caller.up.leave(now) {
                self.sources.datagram(caller.address.into(), arrival, bytes);
            }
        }
        if let Some(guest) = &mut self.guest {
            guest.take(&tone(TONES[SERVER], self.said), now);
        }
        self.said += BLOCK as u64;
        let mut out = [0.0; BLOCK];
        self.renderer.render(now, &mut out, Starved::Advance);
        self.heard.extend_from_slice(&out);
        self.sources.sweep(now);
        let mut letters = self.sources.letters(now);
        letters.append(&mut self.sources.talk(now));
        for Letter { way, bytes } in letters {
            let caller = self.callers.iter_mut().find(|caller| caller.address == way.address);
            caller.expect("nobody else is spoken to").down.enter(now, (), &bytes);
        }
        for caller in &mut self.callers {
            caller.pass(now, self.wall, &mut self.dice, server);
        }
        self.now = self.now + STEP;
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.pass();
        }
    }
}

fn hears(sound: &[f32], tones: &[f64], not: f64) {
    for (second, sound) in sound.chunks_exact(44_100).enumerate() {
        for tone in tones {
            let level = loudness(sound, *tone);
            assert!(level > 0.7, "{tone} Hz in second {second}: {level}");
        }
        let own = loudness(sound, not);
        assert!(own < 0.05, "{not} Hz in second {second}: {own}");
    }
}

#[test]
fn for_five_minutes_everybody_hears_everybody_else_and_not_themselves() {
    let mut room = Room::new(2, LINK, None, true);
    room.run(Duration::from_secs(300));
    let settled = 10 * 44_100;
    hears(&room.heard[settled..], &TONES[..2], TONES[SERVER]);
    hears(&room.callers[0].heard[settled..], &TONES[1..], TONES[0]);
    hears(&room.callers[1].heard[settled..], &[TONES[0], TONES[2]], TONES[1]);
    for caller in &room.callers {
        let stats = caller.sources.stats();
        let [source] = &stats.sources[..] else { panic!("{} sources", stats.sources.len()) };
        let share = stats.reception.lost as f64 / stats.reception.expected as f64;
        assert!((0.04..0.06).contains(&share), "{share}");
        assert!(source.round_trip_ms.is_some_and(|trip| trip > 5.0), "{:?}", source.round_trip_ms);
        assert_eq!(stats.malformed + stats.refused + stats.dropped_local, 0);
    }
    for source in room.sources.stats().sources {
        assert_eq!(source.packets_withheld, 0);
        assert!(source.packets_sent > 29_000, "{}", source.packets_sent);
    }
}

#[test]
fn under_every_kind_of_key_a_conversation_is_sealed_both_ways() {
    for key in [
        "audiostream1:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
    ] {
        let mut room = Room::new(2, "seed=", Some(key), true);
        room.run(Duration::from_secs(4));
        hears(&room.callers[0].heard[3 * 44_100..], &TONES[1..], TONES[0]);
        hears(&room.callers[1].heard[3 * 44_100..], &[TONES[0], TONES[2]], TONES[1]);
        assert_eq!(room.sources.stats().unauthentic, 0);
    }
}

#[test]
fn whose_address_is_not_proved_hears_nothing() {
    let mut room = Room::new(2, "seed=", None, true);
    // What is said to the first does not reach it, as if somebody spoke in its name.
    room.callers[0].deaf = true;
    room.run(Duration::from_secs(20));
    assert_eq!(room.callers[0].answers, 0);
    assert!(room.callers[1].answers > 1_800, "{}", room.callers[1].answers);
    // It hears again: its next report proves it.
    room.callers[0].deaf = false;
    room.run(Duration::from_secs(20));
    assert!(room.callers[0].answers > 500, "{}", room.callers[0].answers);
}

#[test]
fn who_falls_silent_is_not_talked_to_for_long() {
    let mut room = Room::new(2, "seed=", None, true);
    room.run(Duration::from_secs(3));
    let source = |room: &Room| {
        let stats = room.sources.stats();
        stats.sources.iter().find(|source| source.ssrc == 0x1000).cloned().expect("it is remembered")
    };
    let sent = source(&room).packets_sent;
    let mut lost = room.callers.remove(0);
    let before = lost.answers;
    assert!(before > 200, "{before}");
    let (address, mut came) = (lost.address, 0);
    lost.deaf = true;
    for _ in 0..1_200 {
        room.now = room.now + STEP;
        let mut out = [0.0; BLOCK];
        room.renderer.render(room.now, &mut out, Starved::Advance);
        room.sources.sweep(room.now);
        let letters = room.sources.talk(room.now);
        came += letters
            .iter()
            .filter(|letter| letter.way.address == address && !rtp::is_rtcp(&letter.bytes))
            .count();
    }
    assert!(came <= 200, "{came}");
    // What it was sent stays counted, though nobody speaks to it any more.
    let idle = source(&room);
    assert_eq!(idle.presence, Presence::Idle);
    assert_eq!(idle.packets_sent, sent + came as u64);
}
