//! Short random troubles by the million: each seed another path, and calm after it.

use std::time::Duration;

use super::config::{Burst, LinkConfig, Loss};
use super::draw::{Direction, Draw, Kind, Share};
use super::scenario::Scenario;

/// Two seconds of one trouble or another, by the seed, and then calm: losses, bursts, jitter, stalls, packets held back and
/// doubled, pauses and restarts of the sender, a path that becomes longer or shorter.
pub fn trouble(seed: u64, rate: u32, packet_frames: u32) -> Scenario {
    let draw = |number| Draw::new(seed, Direction::Up, Kind::Other, FIRST + number);
    // Nothing, or something up to the most.
    let upto = |number, most: u64| if draw(number).within(0.5) { draw(number + 1).below(most) } else { 0 };
    let ms = |number, most: u64| Duration::from_millis(upto(number, most));
    let share = |number, percent: u64| Share(upto(number, percent * 10_000) as u32);
    let loss = share(0, 30);
    let link = LinkConfig {
        seed,
        loss: if draw(2).within(0.5) {
            Loss::Independent(loss)
        } else {
            Loss::Burst(Burst {
                loss,
                length_thousandths: 1_000 + draw(3).below(5_000) as u32,
                density: Share::ALL,
                scatter: Share(0),
            })
        },
        delay: Duration::from_millis(100),
        jitter: ms(4, 30),
        spike: share(6, 2),
        spike_delay: ms(8, 500),
        reorder: share(10, 10),
        reorder_delay: ms(12, 80),
        duplicate: share(14, 5),
        bottleneck: None,
        trace: None,
    };
    let at = |number| Duration::from_millis(200 + draw(number).below(1_600));
    let mut scenario = Scenario::new(rate, packet_frames, TROUBLE + CALM).link(link);
    if draw(20).within(0.25) {
        scenario = scenario.restart(at(21));
    }
    if draw(22).within(0.25) {
        scenario = scenario.pause(at(23), Duration::from_millis(draw(24).below(1_500)));
    }
    if draw(25).within(0.25) {
        scenario = scenario.stall(at(26), Duration::from_millis(draw(27).below(700)));
    }
    if draw(28).within(0.25) {
        scenario = scenario.delay(at(29), Duration::from_millis(20 + draw(30).below(160)));
    }
    scenario.calm(TROUBLE)
}

/// How long it lasts.
pub const TROUBLE: Duration = Duration::from_secs(2);
/// How long nothing happens any more: several times as long as playout remembers.
pub const CALM: Duration = Duration::from_secs(120);
/// Other draws of this kind are made with small numbers.
const FIRST: u64 = 1 << 32;
