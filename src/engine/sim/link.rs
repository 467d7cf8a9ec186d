//! One model of a bad network path, in both directions: seeded, in integer microseconds.
//!
//! Guaranteed: every decision is a draw of (seed, direction, kind, packet number), so that changing one setting does
//! not move the others: the same packets are lost whatever the jitter, the survivors' times are the same whatever the
//! loss. Packets that are not held back or doubled arrive in the order they were sent. No allocation.
//!
//! The order of things: bottleneck, stall, delay and jitter, order kept; then loss, holding back, doubling. A lost packet
//! has used the bottleneck like any other.

use std::time::Duration;

use super::config::{LinkConfig, Loss};
use super::draw::{Direction, Draw, Kind};
use super::mahimahi::Progress;
use crate::engine::time::Micros;

/// The path.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    /// The chances to turn bad and good.
    turns: (f64, f64),
    ways: [Way; 2],
}

/// When a packet arrives: never, once or twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    times: [Micros; 2],
    count: usize,
}

/// What a link did in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets given to it.
    pub sent: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped by the full queue of the bottleneck.
    pub overflowed: u64,
    /// Held back, so that others overtook them.
    pub reordered: u64,
    /// Delivered twice.
    pub duplicated: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    counts: LinkCounts,
    /// What is drawn one by one, and what is drawn apart from it.
    series: [Series; 2],
    /// When the bottleneck has sent what waits for it.
    free: Micros,
    /// How far its trace is.
    trace: Progress,
    /// Nothing in order arrives before this.
    floor: Micros,
}

/// Packets whose chances are drawn one after another.
#[derive(Clone, Copy, Debug, Default)]
struct Series {
    sent: u64,
    /// Whether the loss model is in its bad state.
    bad: bool,
}

impl Link {
    /// A path as `config` says. A burst that cannot be (see [`LinkConfig::parse`], which refuses it) becomes one at every
    /// good packet.
    pub fn new(config: LinkConfig) -> Self {
        let turns = match config.loss {
            Loss::Independent(_) => (0.0, 1.0),
            Loss::Burst(burst) => burst.turns().unwrap_or((1.0, 1.0)),
        };
        Self { config, turns, ways: [Way::default(); 2] }
    }

    /// Its settings.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Sends a packet of `bytes` bytes at `now`, and says when it arrives.
    pub fn send(&mut self, now: Micros, direction: Direction, bytes: usize) -> Deliveries {
        self.pass(now, direction, bytes, false)
    }

    /// The same for a control packet: it takes its place at the bottleneck and in the order of things, but its chances are drawn
    /// apart, so that it does not change which of the others are lost.
    pub fn send_apart(&mut self, now: Micros, direction: Direction, bytes: usize) -> Deliveries {
        self.pass(now, direction, bytes, true)
    }

    fn pass(&mut self, now: Micros, direction: Direction, bytes: usize, apart: bool) -> Deliveries {
        let config = &self.config;
        let way = &mut self.ways[direction as usize];
        way.counts.sent += 1;
        let series = &mut way.series[usize::from(apart)];
        let number = series.sent | if apart { APART } else { 0 };
        series.sent += 1;
        let draw = |kind| Draw::new(config.seed, direction, kind, number);

        let lost = match config.loss {
            Loss::Independent(share) => draw(Kind::Loss).happens(share),
            Loss::Burst(burst) => {
                let turn = draw(Kind::Burst);
                series.bad = if series.bad { !turn.within(self.turns.1) } else { turn.within(self.turns.0) };
                draw(Kind::Loss).happens(if series.bad { burst.density } else { burst.scatter })
            }
        };
        let Some(through) = way.squeeze(config, now, bytes) else {
            way.counts.overflowed += 1;
            return Deliveries::default();
        };
        if draw(Kind::Spike).happens(config.spike) {
            way.floor = way.floor.max(through + config.delay + config.spike_delay);
        }
        let jitter = draw(Kind::Jitter).exponential(config.jitter);
        let mut arrival = (through + config.delay + jitter).max(way.floor);
        way.floor = arrival;

        if lost {
            way.counts.lost += 1;
            return Deliveries::default();
        }
        if draw(Kind::Reorder).happens(config.reorder) {
            way.counts.reordered += 1;
            arrival = arrival + config.reorder_delay;
        }
        if draw(Kind::Duplicate).happens(config.duplicate) {
            way.counts.duplicated += 1;
            let apart = draw(Kind::CopyJitter).exponential(config.jitter.max(LEAST_APART));
            return Deliveries { times: [arrival, arrival + apart], count: 2 };
        }
        Deliveries { times: [arrival, arrival], count: 1 }
    }

    /// Lets nothing sent in `direction` so far or later arrive before `until`: a stall at a chosen moment.
    pub fn stall(&mut self, direction: Direction, until: Micros) {
        let way = &mut self.ways[direction as usize];
        way.floor = way.floor.max(until);
    }

    /// Makes the path this long from now on. Order is kept: after a shortening, packets first wait for those before.
    pub fn set_delay(&mut self, delay: Duration) {
        self.config.delay = delay;
    }

    /// From now on it is a perfect path of the same length.
    pub fn calm(&mut self) {
        self.config =
            LinkConfig { seed: self.config.seed, delay: self.config.delay, ..LinkConfig::default() };
    }

    /// What it did so far.
    pub fn counts(&self, direction: Direction) -> LinkCounts {
        self.ways[direction as usize].counts
    }
}

impl Deliveries {
    /// The arrival times, earliest first.
    pub fn as_slice(&self) -> &[Micros] {
        &self.times[..self.count]
    }
}

impl IntoIterator for Deliveries {
    type Item = Micros;
    type IntoIter = std::iter::Take<std::array::IntoIter<Micros, 2>>;

    fn into_iter(self) -> Self::IntoIter {
        self.times.into_iter().take(self.count)
    }
}

impl Way {
    /// When a packet has passed the bottleneck; `None` where its queue is full.
    fn squeeze(&mut self, config: &LinkConfig, now: Micros, bytes: usize) -> Option<Micros> {
        if let Some(trace) = &config.trace {
            return trace.pass(&mut self.trace, now, bytes);
        }
        let Some(neck) = config.bottleneck else { return Some(now) };
        let start = self.free.max(now);
        if start.since(now) > neck.queue {
            return None;
        }
        let bits = bytes as u128 * 8;
        let micros = (bits * 1_000_000).div_ceil(u128::from(neck.bits_per_second.max(1)));
        self.free = start + Duration::from_micros(micros.min(u128::from(u32::MAX)) as u64);
        Some(self.free)
    }
}

/// Added to the numbers of what is drawn apart.
const APART: u64 = 1 << 63;
/// A copy's mean distance where there is no jitter.
const LEAST_APART: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sim::draw::Share;
    use proptest::prelude::*;

    fn link(text: &str) -> Link {
        Link::new(LinkConfig::parse(text).unwrap())
    }

    /// Arrival times of `count` packets sent each 10 ms.
    fn run(link: &mut Link, count: u64) -> Vec<Option<u64>> {
        (0..count)
            .map(|n| {
                let got = link.send(Micros(n * 10_000), Direction::Up, 894);
                got.as_slice().first().map(|t| t.0 - n * 10_000)
            })
            .collect()
    }

    fn bursts(delays: &[Option<u64>]) -> (f64, f64) {
        let lost = delays.iter().filter(|d| d.is_none()).count();
        let begun = delays.windows(2).filter(|w| w[0].is_some() && w[1].is_none()).count();
        (lost as f64 / delays.len() as f64 * 100.0, lost as f64 / begun as f64)
    }

    #[test]
    fn loss_has_its_rate_and_its_mean_burst() {
        for (text, rate, burst) in [
            ("loss=10,seed=1", 10.0, 1.0 / 0.9),
            ("loss=10,burst=3,seed=1", 10.0, 3.0),
            ("loss=2,burst=8,seed=4", 2.0, 8.0),
        ] {
            let (lost, length) = bursts(&run(&mut link(text), 400_000));
            assert!((lost / rate - 1.0).abs() < 0.05, "{text}: {lost} %");
            assert!((length / burst - 1.0).abs() < 0.05, "{text}: {length} packets");
        }
        let (lost, _) = bursts(&run(&mut link("loss=6,burst=10,density=50,scatter=1,seed=2"), 400_000));
        assert!((lost - 6.0).abs() < 0.3, "{lost}");
        assert!(run(&mut link("loss=100,burst=3"), 100).iter().all(Option::is_none));
    }

    #[test]
    fn changing_one_setting_does_not_move_the_others() {
        let base = run(&mut link("loss=5,burst=3,delay=40,jitter=15,spike=0.1,seed=3"), 20_000);
        let whole = run(&mut link("delay=40,jitter=15,spike=0.1,seed=3"), 20_000);
        let steady = run(&mut link("loss=5,burst=3,seed=3,reorder=4,duplicate=7,rate=2M"), 20_000);
        for n in 0..20_000 {
            assert_eq!(base[n].is_some(), steady[n].is_some());
            assert!(base[n].is_none() || base[n] == whole[n]);
        }
    }

    #[test]
    fn the_two_directions_have_chances_of_their_own() {
        let mut l = link("loss=50,seed=1");
        let pairs = (0..1000).map(|n| {
            let up = l.send(Micros(n), Direction::Up, 1).as_slice().len();
            up == l.send(Micros(n), Direction::Down, 1).as_slice().len()
        });
        let same = pairs.filter(|&same| same).count();
        assert!((400..600).contains(&same), "{same}");
    }

    #[test]
    fn what_is_drawn_apart_takes_room_and_moves_no_draw() {
        for text in ["loss=30,seed=1", "loss=30,burst=3,seed=1"] {
            let (mut alone, mut beside) = (link(text), link(text));
            for n in 0..2000 {
                let at = Micros(n * 1000);
                if n % 3 == 0 {
                    beside.send_apart(at, Direction::Up, 100);
                }
                let arrives = alone.send(at, Direction::Up, 100);
                assert_eq!(beside.send(at, Direction::Up, 100), arrives, "{text}, packet {n}");
            }
        }
        let mut narrow = link("rate=8k");
        assert_eq!(narrow.send_apart(Micros(0), Direction::Up, 10).as_slice(), [Micros(10_000)]);
        assert_eq!(narrow.send(Micros(0), Direction::Up, 10).as_slice(), [Micros(20_000)]);
    }

    #[test]
    fn a_stall_lets_packets_pile_up_and_arrive_at_once() {
        let mut l = link("delay=20");
        assert_eq!(run(&mut l, 1), [Some(20_000)]);
        l.stall(Direction::Up, Micros(300_000));
        let delays = run(&mut l, 40);
        assert_eq!(delays[0], Some(300_000));
        assert_eq!(delays[10], Some(200_000));
        assert_eq!(delays[30..], [Some(20_000); 10]);
    }

    #[test]
    fn a_full_queue_drops_and_an_idle_one_does_not_wait() {
        // 1,000 bytes at 400 kbit/s take 20 ms, and one comes each 10 ms.
        let mut l = link("rate=400k,queue=100");
        let mut arrivals = Vec::new();
        for n in 0..1000 {
            arrivals.extend(l.send(Micros(n * 10_000), Direction::Up, 1000));
        }
        let counts = l.counts(Direction::Up);
        assert!((490..=500).contains(&counts.overflowed), "{counts:?}");
        assert!(arrivals.windows(2).all(|w| w[1].0 - w[0].0 == 20_000));
        let rested = Micros(60_000_000);
        assert_eq!(l.send(rested, Direction::Up, 500).as_slice(), [rested + Duration::from_millis(10)]);
    }

    #[test]
    fn a_rate_is_paced_to_what_it_says() {
        for (text, rate) in [("rate=256k", 256e3), ("rate=1.5M,queue=50", 1.5e6), ("rate=20M", 20e6)] {
            let mut l = link(text);
            let arrivals: Vec<Micros> =
                (0..2_000_000).step_by(200).flat_map(|at| l.send(Micros(at), Direction::Up, 894)).collect();
            let seconds = arrivals[arrivals.len() - 1].since(arrivals[0]).as_secs_f64();
            let paced = (arrivals.len() - 1) as f64 * 894.0 * 8.0 / seconds;
            assert!((paced / rate - 1.0).abs() < 0.02, "{text}: {paced}");
        }
    }

    #[test]
    fn held_packets_are_overtaken_and_doubles_come_later() {
        let mut l = link("delay=5,reorder=10,duplicate=10,seed=8");
        let (mut overtaken, mut last) = (0, Micros(0));
        for n in 0..10_000 {
            let got = l.send(Micros(n * 10_000), Direction::Up, 100);
            assert!(got.as_slice().is_sorted());
            overtaken += u64::from(got.as_slice()[0] > Micros(n * 10_000 + 15_000));
            last = last.max(got.as_slice()[0]);
        }
        let counts = l.counts(Direction::Up);
        assert_eq!(overtaken, counts.reordered);
        assert!((900..1100).contains(&counts.reordered) && (900..1100).contains(&counts.duplicated));
    }

    proptest! {
        /// Any settings, any times, even backwards: nothing arrives before it is sent, order is kept, no panic.
        #[test]
        fn nothing_arrives_before_it_was_sent(
            loss in 0u32..1_000_001, delay in 0u64..1_000_000, jitter in 0u64..1_000_000, spike in 0u32..100_000,
            rate in prop::option::of(1000u64..10_000_000), sends in prop::collection::vec((0u64..u64::MAX / 4, 0usize..70_000), 1..50),
        ) {
            let us = Duration::from_micros;
            let mut l = Link::new(LinkConfig {
                loss: Loss::Independent(Share(loss)),
                delay: us(delay),
                jitter: us(jitter),
                spike: Share(spike),
                spike_delay: us(delay),
                bottleneck: rate.map(|bits_per_second| crate::engine::sim::config::Bottleneck {
                    bits_per_second, queue: us(jitter),
                }),
                ..LinkConfig::default()
            });
            let mut last = Micros::ZERO;
            for (at, bytes) in sends {
                for got in l.send(Micros(at), Direction::Down, bytes) {
                    prop_assert!(got.since(Micros(at)) >= us(delay));
                    prop_assert!(got >= last);
                    last = got;
                }
            }
        }
    }
}
