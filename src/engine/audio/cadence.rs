//! How far the mix has come, against a clock: what a speaker's callback renders, and what a clock renders in its place.
//!
//! Guaranteed: fixed memory, no clock of its own. Whatever the speaker does, the mix goes on in real time: where callbacks stay away or
//! come too seldom the missing part is asked of a clock, and what they ask for then that has been mixed already is silence.

use std::time::Duration;

use crate::engine::format::Format;
use crate::engine::time::Micros;

/// The way of the mix through time.
#[derive(Clone, Debug)]
pub(super) struct Cadence {
    format: Format,
    /// When the first frame was rendered, and how many have been since.
    origin: Option<Micros>,
    rendered: i64,
    /// How many frames ahead of the clock the mix is after a callback, usually.
    habit: f64,
    /// How far it was after the last one.
    after: f64,
    /// What a device asks for at one moment at most, in one callback or many, frames: a figure that forgets.
    call: i64,
    /// What it has asked for at this moment, and in the last callback.
    block: f64,
    asked: i64,
    /// When a callback came last.
    called: Micros,
    /// When a clock has stood in last.
    stood_in: Option<Micros>,
    /// No callback has come since.
    alone: bool,
}

impl Cadence {
    pub(super) fn new(format: Format) -> Self {
        let start = Micros::ZERO;
        Self {
            format,
            origin: None,
            rendered: 0,
            habit: 0.0,
            after: 0.0,
            block: 0.0,
            asked: 0,
            call: 0,
            called: start,
            stood_in: None,
            alone: false,
        }
    }

    /// A callback asks for `frames`: so many of them are to be rendered. The rest is silence, first.
    pub(super) fn ask(&mut self, now: Micros, frames: usize) -> usize {
        let asked = frames as i64;
        let ahead = self.ahead(now);
        let young = self.origin.is_some_and(|origin| now.since(origin) < YOUTH);
        let settling = self.is_settling(now);
        if now.since(self.called) > MOMENT {
            // What came before was a block, whole.
            let step = now.since(self.called).as_secs_f64() / HABIT_SECONDS;
            if !young && !settling {
                self.habit += (self.after - self.habit) * step.min(1.0);
            }
            self.block = self.block.max(self.call as f64 * 0.99);
            self.call = self.block as i64;
            self.block = 0.0;
        }
        self.block += asked as f64;
        self.asked = asked;
        self.call = self.call.max(self.block as i64);
        self.alone = false;
        let most =
            if settling { self.habit as i64 + self.frames(TOLERANCE) } else { self.frames(MOST_AHEAD) };
        let granted = (most - ahead).clamp(0, asked);
        self.rendered += granted;
        self.after = (ahead + granted) as f64;
        if young && !settling {
            self.habit = self.habit.max(self.after);
        }
        self.called = now;
        granted as usize
    }

    /// The frames that a clock has to render now, since nobody else does; at once where the device is `away`.
    pub(super) fn overdue(&mut self, now: Micros, away: bool) -> usize {
        let missing = self.habit as i64 - self.ahead(now);
        if missing > self.frames(LONGEST) {
            // The process was stopped: that time is over.
            self.rendered += missing;
            return 0;
        }
        if missing <= self.slack(away) {
            return 0;
        }
        self.rendered += missing;
        self.stood_in = Some(now);
        self.alone = true;
        missing as usize
    }

    /// When a clock has to stand in, where nobody asks until then.
    pub(super) fn deadline(&mut self, now: Micros) -> Micros {
        let left = self.ahead(now) - self.habit as i64 + self.slack(false);
        now + self.format.duration(left.max(0) as u64)
    }

    /// The device asks without any pace and is held to the clock's, a call at a time: how far it was ahead is no measure.
    pub(super) fn unpaced(&mut self, now: Micros) {
        (self.call, self.habit) = (self.asked, self.asked as f64);
        self.block = 0.0;
        self.stood_in = Some(now);
    }

    /// What may be missing before a clock stands in.
    fn slack(&self, away: bool) -> i64 {
        if away || self.alone { 0 } else { 2 * self.call + self.frames(SLACK) }
    }

    /// A clock has stood in lately: the device's pace is not believed yet.
    fn is_settling(&self, now: Micros) -> bool {
        self.stood_in.is_some_and(|last| now.since(last) < SETTLING)
    }

    /// Frames by which the mix is ahead of the clock.
    fn ahead(&mut self, now: Micros) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        self.rendered - self.format.frames(now.since(origin)) as i64
    }

    fn frames(&self, time: Duration) -> i64 {
        self.format.frames(time) as i64
    }
}

/// Callbacks this close to each other ask for parts of one block.
const MOMENT: Duration = Duration::from_millis(4);
/// What callbacks may be late besides two of their own lengths.
const SLACK: Duration = Duration::from_millis(60);
/// How far the mix may be off its habit while a device comes back.
const TOLERANCE: Duration = Duration::from_millis(10);
/// How long it takes until a device that came back is believed.
const SETTLING: Duration = Duration::from_secs(2);
/// How long a device fills its buffers at the start.
const YOUTH: Duration = Duration::from_millis(300);
/// How far a device may be ahead of the clock at all.
pub(super) const MOST_AHEAD: Duration = Duration::from_secs(1);
/// More than this is not made up for.
const LONGEST: Duration = Duration::from_secs(1);
/// How fast the habit follows a device whose clock is a little off.
const HABIT_SECONDS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// A device's callbacks (10 ms each, at `pace`) and the clock's looks every 10 ms, on one time line.
    struct Scene {
        cadence: Cadence,
        start: Micros,
        now: Micros,
        next: f64,
        by_device: usize,
        by_clock: usize,
        silent: usize,
        /// The furthest that the mix was off real time since this was cleared, frames, as (behind, ahead).
        extremes: (i64, i64),
    }

    impl Scene {
        fn new() -> Self {
            let start = Micros(3_600_000_000);
            Self {
                cadence: Cadence::new(Format::DEFAULT),
                start,
                now: start,
                next: start.0 as f64,
                by_device: 0,
                by_clock: 0,
                silent: 0,
                extremes: (i64::MAX, i64::MIN),
            }
        }

        fn ask(&mut self, frames: usize) {
            let granted = self.cadence.ask(self.now, frames);
            self.by_device += granted;
            self.silent += frames - granted;
        }

        /// So many ms, with a device of this pace, or none.
        fn run(&mut self, ms: u64, pace: Option<f64>) {
            for _ in 0..ms {
                self.now = self.now + Duration::from_millis(1);
                match pace {
                    Some(pace) => {
                        while self.next <= self.now.0 as f64 {
                            self.next += 10_000.0 / pace;
                            self.ask(441);
                        }
                    }
                    None => self.next = self.now.0 as f64,
                }
                if self.now.0.is_multiple_of(10_000) {
                    self.by_clock += self.cadence.overdue(self.now, false);
                }
                let ahead = (self.by_device + self.by_clock) as i64
                    - Format::DEFAULT.frames(self.now.since(self.start)) as i64;
                self.extremes = (self.extremes.0.min(ahead), self.extremes.1.max(ahead));
            }
        }
    }

    #[test]
    fn a_device_in_time_renders_all_and_no_clock_stands_in() {
        for pace in [0.9997, 1.0, 1.0003] {
            let mut scene = Scene::new();
            scene.ask(882);
            scene.run(600_000, Some(pace));
            assert_eq!((scene.by_clock, scene.silent), (0, 0), "{pace}");
        }
    }

    #[test]
    fn a_device_that_asks_for_long_blocks_in_pieces_is_in_time_and_comes_back() {
        let mut scene = Scene::new();
        for _ in 0..20 {
            scene.ask(882);
        }
        let block = |scene: &mut Scene| {
            scene.run(200, None);
            for _ in 0..10 {
                scene.ask(882);
            }
        };
        for _ in 0..600 {
            block(&mut scene);
        }
        assert_eq!((scene.by_clock, scene.silent), (0, 0));
        scene.extremes = (i64::MAX, i64::MIN);
        block(&mut scene);
        let before = scene.extremes;
        scene.run(3_000, None);
        for _ in 0..20 {
            block(&mut scene);
        }
        let (behind, ahead) = scene.extremes;
        assert!(before.0 - behind <= 441 * 30, "{before:?} {behind}");
        assert!(ahead - before.1 <= 441, "{before:?} {ahead}");
    }

    #[test]
    fn callbacks_that_stall_for_less_than_the_slack_lose_nothing() {
        let mut scene = Scene::new();
        scene.run(5_000, Some(1.0));
        for _ in 0..20 {
            let due = scene.next;
            scene.run(60, None);
            scene.next = due;
            scene.run(500, Some(1.0));
        }
        assert_eq!((scene.by_clock, scene.silent), (0, 0));
    }

    #[test]
    fn a_clock_stands_in_and_gives_the_pace_back_without_a_jump() {
        let mut scene = Scene::new();
        scene.ask(882);
        scene.run(5_000, Some(1.0));
        let before = scene.extremes;
        scene.run(6_000, None);
        // The device that comes back fills its buffers first.
        scene.ask(882 * 2);
        scene.run(5_000, Some(1.0));
        let (behind, ahead) = scene.extremes;
        assert!(before.0 - behind <= 441 * 10, "{before:?} {behind}");
        assert!(ahead - before.1 <= 441, "{before:?} {ahead}");
        scene.extremes = (i64::MAX, i64::MIN);
        scene.run(1_000, Some(1.0));
        assert!((scene.extremes.0 - before.0).abs() <= 882, "{before:?} {:?}", scene.extremes);
    }

    #[test]
    fn a_stall_that_is_made_up_for_is_not_mixed_twice() {
        let mut scene = Scene::new();
        scene.ask(882);
        scene.run(5_000, Some(1.0));
        let before = scene.extremes;
        let due = scene.next;
        scene.run(400, None);
        scene.next = due;
        scene.run(3_000, Some(1.0));
        assert!(scene.by_clock > 0);
        assert!(scene.extremes.1 - before.1 <= 441, "{before:?} {:?}", scene.extremes);
    }

    #[test]
    fn a_device_too_slow_or_that_never_calls_leaves_the_mix_in_time() {
        for pace in [Some(0.5), Some(0.9), None] {
            let mut scene = Scene::new();
            scene.run(20_000, pace);
            assert!(scene.extremes.0 > -441 * 13 && scene.extremes.1 < 882, "{pace:?} {:?}", scene.extremes);
        }
    }

    #[test]
    fn a_lost_device_is_stood_in_for_at_once_and_a_stopped_process_is_not_made_up_for() {
        let mut scene = Scene::new();
        scene.run(1_000, Some(1.0));
        scene.now = scene.now + Duration::from_millis(20);
        let missing = scene.cadence.overdue(scene.now, true);
        assert!((441..=882).contains(&missing), "{missing}");
        scene.now = scene.now + Duration::from_secs(20);
        assert_eq!(scene.cadence.overdue(scene.now, true), 0);
        scene.now = scene.now + Duration::from_millis(10);
        assert_eq!(scene.cadence.overdue(scene.now, true), 441);
    }

    #[test]
    fn a_device_without_pace_does_not_run_away_with_the_mix() {
        let mut scene = Scene::new();
        for _ in 0..10_000 {
            scene.ask(441);
        }
        assert_eq!(scene.by_device, 44_100);
        scene.cadence.unpaced(scene.now);
        scene.run(10_000, Some(1.0));
        assert!((scene.by_device + scene.by_clock).abs_diff(441_000) < 4 * 441);
    }
}
