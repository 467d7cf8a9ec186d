//! Microphone to speaker with nothing between but a ring: what mouth-to-ear delay is measured against.
//!
//! Started by `mouth_to_ear.py`, which says how many frames a block has and how many seconds to run; started without
//! them (by `cargo bench`) it does nothing. Mono, 44.1 kHz, the default devices, each on a host of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, StreamConfig};
use rtrb::RingBuffer;

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [block, seconds] = numbers[..] else { return };
    let config = StreamConfig { channels: 1, sample_rate: 44_100, buffer_size: BufferSize::Fixed(block) };
    let block = block as usize;
    let (mut heard, mut played) = RingBuffer::<f32>::new(RATE);
    let (empty, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));

    let ears = cpal::default_host();
    let microphone = ears.default_input_device().expect("a microphone");
    let input = microphone
        .build_input_stream(
            config,
            move |samples: &[f32], _: &_| {
                let _ = heard.push_partial_slice(samples);
            },
            |error| eprintln!("microphone: {error}"),
            None,
        )
        .expect("an input stream");

    let mouth = cpal::default_host();
    let speaker = mouth.default_output_device().expect("a speaker");
    let (no_sound, too_much) = (Arc::clone(&empty), Arc::clone(&late));
    let output = speaker
        .build_output_stream(
            config,
            move |out: &mut [f32], _: &_| {
                // What lies beyond a block more than is wanted now came while the output was not yet running.
                let excess = played.slots().saturating_sub(out.len() + block);
                if excess > 0 {
                    too_much.fetch_add(excess as u64, Relaxed);
                    played.read_chunk(excess).expect("that much is there").commit_all();
                }
                let (_, missing) = played.pop_partial_slice(out);
                no_sound.fetch_add(missing.len() as u64, Relaxed);
                missing.fill(0.0);
            },
            |error| eprintln!("speaker: {error}"),
            None,
        )
        .expect("an output stream");

    input.play().expect("the microphone to start");
    output.play().expect("the speaker to start");
    #[allow(clippy::disallowed_methods, reason = "the time that the user asked for")]
    std::thread::sleep(Duration::from_secs(u64::from(seconds)));
    println!("{} frames of silence put in, {} dropped", empty.load(Relaxed), late.load(Relaxed));
}

const RATE: usize = 44_100;
