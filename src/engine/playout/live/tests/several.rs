//! Several sources at once.

use super::*;
use crate::engine::sim::config::LinkConfig;
use crate::engine::sim::draw::{Direction, Draw, Kind};

const PACKET: usize = 441;

/// A renderer and what sends to it.
struct Room {
    renderer: Renderer,
    roster: Roster,
    out: Vec<f32>,
    pulls: u64,
}

/// One sender.
struct Sender {
    writer: PacketWriter,
    counters: Arc<PlayerCounters>,
    head: Head,
    sound: fn(u64) -> i16,
}

impl Room {
    fn new(sources: usize) -> Self {
        let (mut renderer, roster, _) = Renderer::new(Format::DEFAULT, sources, PACKET, S).unwrap();
        renderer.set_tier(Tier::Ar64);
        Self { renderer, roster, out: vec![0.0; PACKET], pulls: 0 }
    }

    fn enter(&mut self, sound: fn(u64) -> i16) -> Sender {
        let (writer, reader) = packet_queue(2_048, 2 * RATE as usize, 1);
        let counters = Arc::<PlayerCounters>::default();
        assert!(self.roster.add(Player::live(reader, Format::DEFAULT, 500 * MS, Arc::clone(&counters))));
        let head = Head { position: Position(1 << 40), frames: PACKET as u32, ..Head::default() };
        Sender { writer, counters, head, sound }
    }

    fn now(&self) -> Micros {
        START + Format::DEFAULT.duration(self.pulls * PACKET as u64)
    }

    fn pull(&mut self) -> &[f32] {
        let now = self.now() + 3 * MS;
        assert_no_alloc(|| self.renderer.render(now, &mut self.out, Starved::Advance));
        self.roster.sweep();
        self.pulls += 1;
        &self.out
    }
}

impl Sender {
    /// The next packet, or where `lost` only its time.
    fn send(&mut self, room: &Room, lost: bool) {
        self.head.arrival = room.now();
        if !lost {
            let first = self.head.position.0;
            let samples: Vec<i16> = (first..first + u64::from(self.head.frames)).map(self.sound).collect();
            self.writer.push(self.head, &samples);
        }
        self.head.sequence += 1;
        self.head.position = self.head.position.plus(self.head.frames as usize);
    }
}

fn hum(position: u64) -> i16 {
    (6_000.0 * (position as f64 * 0.017).sin()) as i16
}

fn whistle(position: u64) -> i16 {
    (5_000.0 * (position as f64 * 0.131).sin()) as i16
}

fn rustle(position: u64) -> i16 {
    noise(position) / 4
}

fn loud(position: u64) -> i16 {
    noise(position).saturating_mul(4)
}

fn shout(position: u64) -> i16 {
    if (position / 50).is_multiple_of(2) { i16::MAX } else { i16::MIN }
}

/// When a source comes and goes, pulls.
#[derive(Clone, Copy)]
struct Stay {
    from: u64,
    to: u64,
    sound: fn(u64) -> i16,
    /// Each so many packets is lost.
    lost: u64,
}

/// Plays the stays in one room; what is heard at each pull.
fn play(stays: &[Stay], pulls: u64) -> Vec<f32> {
    let mut room = Room::new(stays.len());
    let mut senders: Vec<Option<Sender>> = stays.iter().map(|_| None).collect();
    let mut heard = Vec::new();
    for n in 0..pulls {
        for (stay, sender) in stays.iter().zip(&mut senders) {
            if n == stay.from {
                *sender = Some(room.enter(stay.sound));
            }
            if n == stay.to {
                *sender = None;
            }
            if let Some(sender) = sender {
                sender.send(&room, n % stay.lost == stay.lost - 1);
            }
        }
        heard.extend_from_slice(room.pull());
    }
    heard
}

#[test]
fn sources_come_and_go_and_what_is_heard_is_their_sum() {
    let stays = [
        Stay { from: 0, to: 500, sound: hum, lost: u64::MAX },
        Stay { from: 30, to: 120, sound: whistle, lost: 20 },
        Stay { from: 80, to: 400, sound: rustle, lost: 33 },
        Stay { from: 350, to: 500, sound: whistle, lost: u64::MAX },
    ];
    let together = play(&stays, 500);
    let alone: Vec<Vec<f32>> = stays.iter().map(|stay| play(&[*stay], 500)).collect();
    for (n, x) in together.iter().enumerate() {
        let sum: f32 = alone.iter().map(|a| a[n]).sum();
        // The order of the sum is another one once somebody has gone.
        assert!((x - sum).abs() < 1e-6, "frame {n}: {x} is not {sum}");
    }
    // While there is one alone, not a bit differs.
    let until = 30 * PACKET;
    assert!(together[..until] == alone[0][..until] && together[until - 1] != 0.0);
}

#[test]
fn each_source_has_a_gain_and_a_mute_of_its_own() {
    let hum_alone = play(&[Stay { from: 0, to: 300, sound: hum, lost: u64::MAX }], 300);
    let whistle_alone = play(&[Stay { from: 0, to: 300, sound: whistle, lost: u64::MAX }], 300);
    let mut room = Room::new(2);
    let (mut first, mut second) = (room.enter(hum), room.enter(whistle));
    for n in 0..300usize {
        match n {
            100 => first.counters.set_gain(0.0),
            200 => second.counters.set_gain(0.5),
            _ => {}
        }
        first.send(&room, false);
        second.send(&room, false);
        let heard = room.pull();
        let range = n * PACKET..(n + 1) * PACKET;
        let (a, b) = (&hum_alone[range.clone()], &whistle_alone[range]);
        // The gain slides over one block.
        let wrong = (0..PACKET).filter(|&i| match n {
            100 | 200 => false,
            0..100 => heard[i] != a[i] + b[i],
            101..200 => heard[i] != b[i],
            _ => heard[i] != b[i] * 0.5,
        });
        assert_eq!(wrong.count(), 0, "block {n}");
    }
    assert_eq!(first.counters.snapshot().frames_concealed, 0, "a muted source plays on");
}

#[test]
fn each_source_has_a_meter_that_shows_it_before_gain_and_mute_and_falls_when_it_stops() {
    let mut room = Room::new(2);
    let (mut first, mut second) = (room.enter(hum), room.enter(shout));
    let level = |sender: &Sender| sender.counters.snapshot().level_db;
    assert_eq!(level(&first), f64::NEG_INFINITY);
    first.counters.set_gain(0.25);
    first.counters.set_muted(true);
    for _ in 0..50 {
        first.send(&room, false);
        second.send(&room, false);
        room.pull();
    }
    let full = 20.0 * (6_000.0f64 / 32_768.0).log10();
    assert!((level(&first) - full).abs() < 0.1 && level(&second).abs() < 0.1);
    assert_eq!(first.counters.heard_gain(), 0.0);
    first.counters.set_muted(false);
    assert_eq!(first.counters.heard_gain(), 0.25, "the gain is kept while it is muted");
    // One goes, the other pauses: 20 dB a second.
    let counters = Arc::clone(&second.counters);
    drop(second);
    for _ in 0..200 {
        room.pull();
    }
    assert_eq!(counters.snapshot().level_db, f64::NEG_INFINITY, "its player is gone");
    assert!(level(&first) < full - 20.0);
}

#[test]
fn three_loud_sources_do_not_clip_and_the_last_one_alone_is_itself_again() {
    let stays = [
        Stay { from: 0, to: 600, sound: shout, lost: u64::MAX },
        Stay { from: 50, to: 200, sound: loud, lost: 10 },
        Stay { from: 50, to: 200, sound: shout, lost: 7 },
    ];
    let together = play(&stays, 600);
    let alone = play(&stays[..1], 600);
    assert!(together.iter().all(|x| x.abs() <= 1.0));
    // Bent, not cut off: hardly anything lies at full scale itself.
    let middle = &together[100 * PACKET..200 * PACKET];
    let full = middle.iter().filter(|x| x.abs() >= 1.0).count();
    assert!(full < middle.len() / 100, "{full} of {}", middle.len());
    assert!(together[..50 * PACKET] == alone[..50 * PACKET]);
    let last = 500 * PACKET..;
    assert!(together[last.clone()] == alone[last], "three seconds later it passes bit by bit");
}

/// One second of what nobody should send, by the packet.
fn misbehave(sender: &mut Sender, room: &Room, n: u64) {
    let draw = |m: u64| Draw::new(7, Direction::Up, Kind::Other, 16 * n + m).below(1 << 20);
    match draw(0) % 8 {
        // A flood, also of more than there is room for.
        0 => (0..draw(1) % 3_000).for_each(|_| {
            let place = sender.head.position;
            sender.send(room, false);
            sender.head.position = place;
        }),
        1 => sender.head.position = Position(sender.head.position.0 ^ (1 << 31)),
        2 => sender.head.position = Position((1 << 40) + draw(1) * 5_000),
        3 => sender.head.epoch += 1,
        4 => sender.head.frames = [0, 1, 40_000, PACKET as u32][draw(1) as usize % 4],
        _ => sender.head.frames = PACKET as u32,
    }
    sender.send(room, draw(2) % 4 == 0);
}

#[test]
fn a_hostile_source_does_not_change_another_ones_part() {
    let honest = Stay { from: 0, to: 2_000, sound: voice, lost: 25 };
    let alone = play(&[honest], 1_500);
    for muted in [true, false] {
        let mut room = Room::new(2);
        let (mut sender, mut fiend) = (room.enter(voice), room.enter(rustle));
        // The fiend by itself, with the same deeds at the same time.
        let mut cell = Room::new(1);
        let mut twin = cell.enter(rustle);
        if muted {
            fiend.counters.set_gain(0.0);
        }
        for n in 0..1_500u64 {
            sender.send(&room, n % 25 == 24);
            misbehave(&mut fiend, &room, n);
            misbehave(&mut twin, &cell, n);
            let heard = room.pull();
            let other = cell.pull();
            let own = &alone[n as usize * PACKET..][..PACKET];
            let of_other = |i: usize| if muted { 0.0 } else { other[i] };
            let wrong = (0..PACKET).filter(|&i| heard[i] != own[i] + of_other(i)).count();
            // A gain slides to where it is set over the first block.
            assert!(wrong == 0 || (muted && n == 0), "block {n}, muted {muted}: {wrong} frames are others");
        }
        let f = fiend.counters.snapshot();
        assert!(f.resets > 0 && f.late_packets > 0, "{f:?}");
    }
}

/// A sender at a rate of its own, over a path of its own.
struct Stranger {
    format: Format,
    packet: u32,
    path: &'static str,
    ppm: i32,
    sound: fn(u64) -> i16,
}

/// What is heard of them in one stereo mix, and what each player says of itself. A second channel is half as loud.
fn meet(strangers: &[Stranger], length: Duration) -> (Vec<f32>, Vec<Playback>) {
    let format = Format::new(RATE, 2).unwrap();
    let (mut renderer, mut roster, _) = Renderer::new(format, strangers.len(), PACKET, S).unwrap();
    renderer.set_tier(Tier::Ar64);
    let mut senders: Vec<_> = strangers
        .iter()
        .map(|s| {
            let channels = s.format.channels();
            let (writer, reader) = packet_queue(1024, 2 * s.format.rate() as usize * channels, channels);
            let counters = Arc::<PlayerCounters>::default();
            let player = Player::live(reader, s.format, 500 * MS, Arc::clone(&counters));
            assert!(roster.add(player.at_rate(RATE).unwrap()));
            let scenario = Scenario::new(s.format.rate(), s.packet, length).sender_ppm(s.ppm);
            (s, writer, counters, scenario.link(LinkConfig::parse(s.path).unwrap()).run().peekable())
        })
        .collect();
    let (mut heard, mut out) = (Vec::new(), vec![0.0; 2 * PACKET]);
    for call in calls(card(PACKET), length - 100 * MS) {
        for (stranger, writer, _, arrivals) in &mut senders {
            while let Some(a) = arrivals.next_if(|a| a.at <= call.at) {
                let channels = 1..=stranger.format.channels() as i16;
                let sound = (a.position.0..).take(a.frames as usize).map(stranger.sound);
                let samples: Vec<i16> =
                    sound.flat_map(|sample| channels.clone().map(move |c| sample / c)).collect();
                let (sequence, position) = (a.sequence, a.position);
                let head = Head { sequence, position, arrival: a.at, frames: a.frames, ..Head::default() };
                writer.push(head, &samples);
            }
        }
        assert_no_alloc(|| renderer.render(call.at, &mut out, Starved::Advance));
        heard.extend_from_slice(&out);
    }
    (heard, senders.iter().map(|(_, _, counters, _)| counters.snapshot()).collect())
}

#[test]
fn sources_of_other_rates_channels_clocks_and_paths_do_not_change_each_other() {
    let of = |rate, channels| Format::new(rate, channels).unwrap();
    let strangers = [
        Stranger {
            format: of(RATE, 1),
            packet: 441,
            path: "loss=3,burst=2,jitter=3,seed=1",
            ppm: 0,
            sound: hum,
        },
        Stranger { format: of(48_000, 2), packet: 240, path: "delay=20", ppm: -100, sound: whistle },
        Stranger { format: of(8_000, 1), packet: 160, path: "loss=5,jitter=10,seed=2", ppm: 300, sound: hum },
    ];
    let length = 20 * S;
    let (together, figures) = meet(&strangers, length);
    let mut sum = vec![0.0f32; together.len()];
    for (stranger, figures) in strangers.iter().zip(figures) {
        let (alone, own) = meet(std::slice::from_ref(stranger), length);
        let own = own[0];
        assert_eq!(figures, own);
        assert_eq!(own.resets, 0, "{own:?}");
        if stranger.path.starts_with("delay") {
            assert_eq!((own.underruns, own.frames_concealed), (0, 0), "{own:?}");
            assert!((own.drift_ppm - f64::from(stranger.ppm)).abs() < 20.0, "{own:?}");
            let wrong = alone.chunks_exact(2).filter(|frame| (frame[0] / 2.0 - frame[1]).abs() > 1e-4);
            assert_eq!(wrong.count(), 0, "left and right are what they were");
        } else {
            assert!(own.frames_concealed > 0, "{own:?}");
        }
        let loud = alone.iter().filter(|x| x.abs() > 0.05).count();
        assert!(loud > alone.len() / 2, "{loud} of {}", alone.len());
        sum.iter_mut().zip(&alone).for_each(|(sum, x)| *sum += x);
    }
    let wrong = together.iter().zip(&sum).filter(|(x, sum)| (*x - *sum).abs() > 1e-6).count();
    assert_eq!(wrong, 0, "what is heard is their sum");
}
