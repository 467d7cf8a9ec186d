use super::super::line::MOST_BYTES;
use super::*;
use crate::engine::sim::draw::Direction::{Down, Up};
use proptest::prelude::*;

const SOUND: [u8; 100] = [0x80; 100];
const REPORT: [u8; 60] = {
    let mut bytes = [0; 60];
    (bytes[0], bytes[1]) = (0x80, 201);
    bytes
};

fn crossing(text: &str) -> Crossing {
    Crossing::new(LinkConfig::parse(text).unwrap())
}

fn peer(number: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + number))
}

/// What has come through by `now`, all of it sent on.
fn through(crossing: &mut Crossing, now: u64) -> Vec<(Direction, SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(through) = crossing.next(Micros(now)) {
        crossing.sent(&through, true);
        all.push((through.direction, through.peer.0, through.packet.into_vec()));
    }
    all
}

fn holds(counts: &HopCounts) -> bool {
    let gone = counts.sent + counts.lost + counts.overflowed + counts.dropped + counts.unsent;
    counts.received + counts.duplicated == gone + counts.waiting
}

#[test]
fn packets_go_to_the_far_end_and_answers_to_the_peer_that_asked() {
    let mut c = crossing("delay=10");
    assert_eq!(c.go_up(Micros(0), peer(1), None, b"one"), Met::New(0));
    assert_eq!(c.go_up(Micros(1_000), peer(2), None, b"two"), Met::New(1));
    assert_eq!(c.go_up(Micros(2_000), peer(1), None, b"three"), Met::Known);
    c.go_down(Micros(3_000), 1, b"to two");
    assert_eq!(c.wait(Micros(4_000), Duration::from_secs(1)), Duration::from_millis(6));
    assert!(through(&mut c, 9_999).is_empty());
    assert_eq!(through(&mut c, 11_000), [(Up, peer(1), b"one".to_vec()), (Up, peer(2), b"two".to_vec())]);
    assert_eq!(
        through(&mut c, 13_000),
        [(Up, peer(1), b"three".to_vec()), (Down, peer(2), b"to two".to_vec())]
    );
    assert!(c.is_empty());
    let stats = c.stats(Micros(13_000));
    assert_eq!((stats.up.received, stats.up.sent, stats.up.bytes_sent), (3, 3, 11));
    assert_eq!((stats.down.received, stats.down.sent), (1, 1));
    let peers: Vec<_> = stats.peers.iter().map(|p| (p.address, p.idle_ms, p.up.sent, p.down.sent)).collect();
    assert_eq!(peers, [(peer(1), 11, 2, 0), (peer(2), 10, 1, 1)]);
}

#[test]
fn the_seed_loses_the_same_sound_as_the_link_alone_whatever_reports_there_are() {
    let text = "loss=20,burst=3,duplicate=5,seed=7";
    for direction in [Up, Down] {
        let mut link = Link::new(LinkConfig::parse(text).unwrap());
        let mut c = crossing(text);
        c.go_up(Micros(0), peer(1), None, &REPORT);
        for n in 1..3000_u64 {
            let now = Micros(n * 10_000);
            if n % 7 == 0 {
                c.go_up(now, peer(1), None, &REPORT);
                c.go_down(now, 0, &REPORT);
            }
            let before = c.stats(now);
            match direction {
                Up => drop(c.go_up(now, peer(1), None, &SOUND)),
                Down => c.go_down(now, 0, &SOUND),
            }
            let after = c.stats(now);
            let waits = after.up.waiting + after.down.waiting - before.up.waiting - before.down.waiting;
            assert_eq!(waits, link.send(now, direction, SOUND.len()).as_slice().len() as u64, "{n}");
            through(&mut c, u64::MAX);
        }
    }
}

#[test]
fn a_rate_is_paced_for_all_peers_together() {
    let mut c = crossing("rate=100k,queue=1000");
    for n in 0..100_u64 {
        c.go_up(Micros(n), peer(n as u16 % 4), None, if n % 10 == 0 { &REPORT } else { &SOUND });
    }
    let mut last = 0;
    while let Some(at) = c.up.line.next_at() {
        through(&mut c, at.0);
        last = at.0;
    }
    assert_eq!(last, (90 * 100 + 10 * 60) * 80);
}

#[test]
fn there_are_so_many_peers_at_most_and_the_idle_make_room() {
    let mut c = crossing("loss=0");
    for n in 0..MOST_PEERS as u16 {
        assert_eq!(c.go_up(Micros(0), peer(n), None, &SOUND), Met::New(usize::from(n)));
    }
    assert_eq!(c.go_up(Micros(0), peer(999), None, &SOUND), Met::Refused);
    through(&mut c, 0);
    c.go_down(Micros(30_000_000), 5, &SOUND);
    assert!(c.sweep(Micros(59_000_000)).is_empty());
    // The one with an answer still under way stays, however it is.
    assert_eq!(c.sweep(Micros(60_000_000)).len(), MOST_PEERS - 1);
    assert!(c.sweep(Micros(95_000_000)).is_empty());
    assert_eq!(through(&mut c, 95_000_000).len(), 1);
    assert_eq!(c.sweep(Micros(96_000_000)), [5]);
    assert_eq!(c.go_up(Micros(96_000_000), peer(999), None, &SOUND), Met::New(0));
    let stats = c.stats(Micros(96_000_000));
    assert_eq!((stats.refused, stats.peers.len()), (1, 1));
    assert_eq!(stats.up.received, MOST_PEERS as u64 + 1, "the forgotten stay in the sums");
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let mut c = crossing("delay=1000");
    let long = vec![0; 65_000];
    for n in 0..1000 {
        c.go_up(Micros(n), peer(1), None, &long);
    }
    let up = c.stats(Micros(0)).up;
    assert_eq!(up.waiting, (MOST_BYTES / long.len()) as u64);
    assert_eq!(up.dropped, 1000 - up.waiting);
    assert!(holds(&up));
}

proptest! {
    #[test]
    fn every_packet_is_in_one_count_of_its_way_and_of_its_peer(
        loss in 0u32..40, reorder in 0u32..20, duplicate in 0u32..50, rate in prop::option::of(8u32..500), seed in 0u64..1000,
        packets in prop::collection::vec((0u64..20_000, 0u16..3, any::<bool>(), 0usize..1500), 1..200),
    ) {
        let rate = rate.map_or(String::new(), |rate| format!(",rate={rate}k"));
        let mut c = crossing(&format!("loss={loss},reorder={reorder},duplicate={duplicate},jitter=3,seed={seed}{rate}"));
        let mut now = 0;
        for (gap, who, is_up, length) in packets {
            now += gap;
            let bytes = vec![0; length];
            if is_up || c.peers.len() <= usize::from(who) {
                c.go_up(Micros(now), peer(who), None, &bytes);
            } else {
                c.go_down(Micros(now), usize::from(who), &bytes);
            }
            while let Some(through) = c.next(Micros(now)) {
                c.sent(&through, through.packet.len() % 7 != 0);
            }
            let stats = c.stats(Micros(now));
            let (mut up, mut down) = (HopCounts::default(), HopCounts::default());
            for peer in &stats.peers {
                up += peer.up;
                down += peer.down;
                prop_assert!(holds(&peer.up) && holds(&peer.down));
            }
            prop_assert_eq!((stats.up, stats.down), (up, down));
        }
        through(&mut c, u64::MAX);
        let stats = c.stats(Micros(now));
        prop_assert_eq!(stats.up.waiting + stats.down.waiting, 0);
    }
}
