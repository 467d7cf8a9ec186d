//! Delays that are set while it plays.

use super::*;

/// Plays `sound` with first these bounds, then those; says how long the delay needed to be within 5 ms of `aim`, ms, and to
/// stay there.
fn change(sound: fn(u64) -> i16, from: Bounds, to: Bounds, aim: f64) -> Duration {
    let (at, length) = (6 * S, 26 * S);
    let mut rig = Rig::new(&scenario(441, length), 441, from);
    rig.sound = sound;
    let (mut arrived, mut last, mut steepest) = (None, 0.0f32, 0.0f32);
    for call in calls(card(441), length - 100 * MS) {
        if call.at.since(START) >= at {
            rig.controls.set_bounds(to);
        }
        let h = rig.pull(call);
        for x in h.sound {
            steepest = steepest.max((x - std::mem::replace(&mut last, *x)).abs());
        }
        let since = call.at.since(START).saturating_sub(at);
        let near = (h.figures.delay_ms - aim).abs() < 5.0;
        arrived = if near && !since.is_zero() { arrived.or(Some(since)) } else { None };
    }
    let f = rig.figures();
    let label = format!("{from:?} to {to:?}");
    println!("{label}: {arrived:?}, {f:?}");
    let own: Vec<f32> = (0..4 * u64::from(RATE)).map(|n| f32::from(sound(n)) / 32_768.0).collect();
    let own = own.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    assert!(steepest < own * 1.25 + 1e-4, "{label}: jumps by {steepest}, the sound itself by {own}");
    assert_eq!((f.frames_concealed, f.underruns, f.late_packets, f.resets), (0, 0, 0, 0), "{label}");
    arrived.unwrap_or_else(|| panic!("{label}: never there: {f:?}"))
}

fn fixed(ms: u32) -> Bounds {
    Bounds { fixed: Some(ms * MS), ..Bounds::default() }
}

fn at_least(ms: u32) -> Bounds {
    Bounds { least: ms * MS, ..Bounds::default() }
}

#[test]
fn other_bounds_are_reached_within_three_seconds_without_a_jump_or_a_loss() {
    // What a card that pulls 10 ms needs on this path.
    let free = 4.3;
    for (from, to, aim) in [
        (Bounds::default(), fixed(30), 30.0),
        (fixed(30), fixed(50), 50.0),
        (fixed(50), fixed(40), 40.0),
        (fixed(40), fixed(120), 120.0),
        (fixed(120), fixed(20), 20.0),
        (fixed(90), Bounds::default(), free),
        (Bounds::default(), at_least(60), 60.0),
        (at_least(60), at_least(25), 25.0),
        (at_least(80), Bounds { most: 40 * MS, ..Bounds::default() }, free),
    ] {
        let took = change(voice, from, to, aim);
        assert!(took < 3 * S, "{from:?} to {to:?} took {took:?}");
    }
}
