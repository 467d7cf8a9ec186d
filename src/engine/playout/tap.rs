//! Sound for programs: blocks of what is played, from the thread that plays to whoever takes them.
//!
//! Guaranteed: wait-free at the playing end, no allocation there; a block that finds the queue full is left out whole, and
//! its frames are counted, for the next block of the same source to tell; all blocks of a source are of one length, but
//! for the last before a break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use rtrb::{Consumer, Producer, RingBuffer};

use super::ledger::{Kind, Stretch};
use crate::engine::format::{Format, to_i16};
use crate::engine::stream::queue::{Head, Position};
use crate::engine::time::Micros;

/// Some sound of one source, or of the mix.
#[derive(Debug, Default)]
pub struct Block {
    /// The source's number; 0 for the mix.
    pub source: u32,
    /// Where the first frame belongs; the low 32 bits are the RTP timestamp.
    pub position: Position,
    /// When it was given out; of a packet, when it came.
    pub at: Micros,
    /// Channels.
    pub channels: usize,
    /// Frames a second of a packet; 0 for what is played, at the output's.
    pub rate: u32,
    /// Interleaved.
    pub samples: Vec<i16>,
    /// For each frame 1 where it stands for sound that is missing, 0 elsewhere.
    pub lost: Vec<u8>,
    /// Whether any does.
    pub is_harmed: bool,
    /// Frames of the same source that were left out before it, since the last block that was not.
    pub dropped: u64,
}

/// Whose sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All sources, mixed.
    Mix,
    /// The source of this number.
    Source(u32),
    /// Every source, each by itself.
    Each,
}

/// The end that is filled.
pub struct Tap {
    whose: Whose,
    /// Frames of a block.
    length: usize,
    full: Producer<Box<Block>>,
    free: Consumer<Box<Block>>,
    /// One for each source that is tapped, in the order of the players as far as possible.
    open: Vec<Open>,
    shared: Arc<Shared>,
}

/// The end that is read.
pub struct Frames {
    full: Consumer<Box<Block>>,
    free: Producer<Box<Block>>,
    shared: Arc<Shared>,
}

/// A block that is being filled.
struct Open {
    source: u32,
    block: Option<Box<Block>>,
    dropped: u64,
}

/// Wakes the reader: called on the thread that plays, must neither block nor allocate.
pub type Bell = Box<dyn Fn() + Send + Sync>;

struct Shared {
    bell: Bell,
    /// The one source that is tapped is being played.
    playing: AtomicBool,
    /// The reader sleeps, or is about to.
    waiting: AtomicBool,
    /// Nothing more will come.
    ended: AtomicBool,
    /// The reader wants no more.
    closed: AtomicBool,
    dropped: AtomicU64,
}

/// How much of what is tapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Whose sound.
    pub whose: Whose,
    /// Frames of a block.
    pub length: usize,
    /// Blocks that may wait.
    pub queue: usize,
    /// Sources that may be there at once.
    pub sources: usize,
}

/// Makes both ends.
pub fn tap(measure: Measure, bell: Bell) -> (Tap, Frames) {
    let Measure { whose, length, queue, sources } = measure;
    let (queue, sources) = (queue.max(1), if whose == Whose::Each { sources.max(1) } else { 1 });
    // Each source has one in hand, and so has the reader.
    let blocks = queue + sources + 1;
    let (full_in, full_out) = RingBuffer::new(queue);
    let (mut free_in, free_out) = RingBuffer::new(blocks);
    for _ in 0..blocks {
        let block = Block {
            samples: Vec::with_capacity(length * MOST_CHANNELS),
            lost: Vec::with_capacity(length),
            ..Block::default()
        };
        let _ = free_in.push(Box::new(block));
    }
    let shared = Arc::new(Shared {
        bell,
        playing: AtomicBool::new(false),
        waiting: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
    });
    let open = Vec::with_capacity(sources);
    let tap = Tap { whose, length, full: full_in, free: free_out, open, shared: Arc::clone(&shared) };
    (tap, Frames { full: full_out, free: free_in, shared })
}

impl Tap {
    /// Whose sound it wants.
    pub fn whose(&self) -> Whose {
        self.whose
    }

    /// Whether it wants the source's sound by itself.
    pub fn wants(&self, source: u32) -> bool {
        self.whose == Whose::Each || self.whose == Whose::Source(source)
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// Takes what a source gives out at `now`: `sound` (interleaved), of which `stretches` tell, in frames that may be of another
    /// rate. `place` is where the source probably stands among the others.
    pub fn take(&mut self, source: Pour<'_>, now: Micros, sound: &[f32]) {
        let Some(place) = self.place_of(source.number, source.place) else {
            return self.drop_unplaced(sound.len() / source.channels);
        };
        self.shared.playing.store(true, Ordering::Relaxed);
        let frames = sound.len() / source.channels;
        let whole: u64 = source.stretches.iter().map(|s| u64::from(s.frames)).sum();
        let (mut told, mut done) = (0, 0);
        for stretch in source.stretches {
            told += u64::from(stretch.frames);
            let end = (told * frames as u64 / whole.max(1)) as usize;
            let piece = &sound[done * source.channels..end * source.channels];
            done = end;
            if stretch.kind == Kind::Nothing {
                self.break_off(place);
            } else {
                self.fill(place, source.channels, stretch, now, piece);
            }
        }
    }

    /// A source gives out nothing for now: what has come is handed on.
    pub fn pause(&mut self, source: u32, place: usize) {
        if self.open.iter().any(|open| open.source == source)
            && let Some(place) = self.place_of(source, place)
        {
            self.break_off(place);
        }
    }

    /// A source is not played any more.
    pub fn leave(&mut self, source: u32) {
        let Some(place) = self.open.iter().position(|open| open.source == source) else { return };
        self.break_off(place);
        self.shared.playing.store(false, Ordering::Relaxed);
        self.shared.call();
        // What it could not be told goes with it: the sum has it.
        let Open { block: Some(block), .. } = self.open.swap_remove(place) else { return };
        self.shelve(block);
    }

    /// Takes a packet as a block of its own. May allocate: not for the thread that plays.
    pub fn packet(&mut self, head: &Head, format: Format, samples: &[i16]) {
        let Some(place) = self.place_of(head.source, 0) else {
            return self.drop_unplaced(head.frames as usize);
        };
        let Some(mut block) = self.open[place].block.take().or_else(|| self.free.pop().ok()) else {
            return self.count(place, head.frames as usize);
        };
        block.begin(head.source, format.channels(), head.position, head.arrival);
        block.rate = format.rate();
        block.samples.extend_from_slice(samples);
        block.lost.resize(block.frames(), 0);
        self.open[place].block = Some(block);
        self.break_off(place);
    }

    fn fill(&mut self, place: usize, channels: usize, stretch: &Stretch, now: Micros, sound: &[f32]) {
        let mut done = 0;
        let frames = sound.len() / channels;
        while done < frames {
            if self.open[place].block.is_none() {
                self.open[place].block = self.free.pop().ok();
            }
            let Open { source, block: Some(block), .. } = &mut self.open[place] else {
                return self.count(place, frames - done);
            };
            if block.samples.is_empty() {
                block.begin(*source, channels, stretch.position.plus(done), now);
            }
            let step = (self.length - block.frames()).min(frames - done);
            let piece = &sound[done * channels..(done + step) * channels];
            block.samples.extend(piece.iter().map(|sample| to_i16(*sample)));
            let lost = stretch.kind == Kind::Lost;
            block.lost.resize(block.lost.len() + step, u8::from(lost));
            block.is_harmed |= lost;
            done += step;
            if block.frames() == self.length {
                self.break_off(place);
            }
        }
    }

    /// Hands on what has come, be it less than a block.
    fn break_off(&mut self, place: usize) {
        let Open { block, dropped, .. } = &mut self.open[place];
        let Some(mut full) = block.take() else { return };
        if full.samples.is_empty() {
            *block = Some(full);
            return;
        }
        full.dropped = std::mem::take(dropped);
        if let Err(rtrb::PushError::Full(mut left_out)) = self.full.push(full) {
            let frames = left_out.frames();
            *dropped = left_out.dropped;
            left_out.samples.clear();
            *block = Some(left_out);
            return self.count(place, frames);
        }
        self.shared.call();
    }

    fn count(&mut self, place: usize, frames: usize) {
        self.open[place].dropped += frames as u64;
        self.drop_unplaced(frames);
    }

    fn drop_unplaced(&self, frames: usize) {
        self.shared.dropped.fetch_add(frames as u64, Ordering::Relaxed);
    }

    /// A block that is of no use now is kept for whoever comes.
    fn shelve(&mut self, block: Box<Block>) {
        if let Some(open) = self.open.iter_mut().find(|open| open.block.is_none()) {
            open.block = Some(block);
        } else if self.open.len() < self.open.capacity() {
            self.open.push(Open { source: NOBODY, block: Some(block), dropped: 0 });
        }
    }

    /// Where a source's block is; it is moved to `hint`, where that can be. `None` where there are more sources than were told.
    fn place_of(&mut self, source: u32, hint: usize) -> Option<usize> {
        if self.open.get(hint).is_some_and(|open| open.source == source) {
            return Some(hint);
        }
        let found = self.open.iter().position(|open| open.source == source);
        let place = found.or_else(|| {
            let vacant = self.open.iter().position(|open| open.source == NOBODY);
            if let Some(place) = vacant {
                self.open[place].source = source;
                return Some(place);
            }
            let has_room = self.open.len() < self.open.capacity();
            has_room.then(|| {
                self.open.push(Open { source, block: None, dropped: 0 });
                self.open.len() - 1
            })
        })?;
        if hint < self.open.len() {
            self.open.swap(place, hint);
            return Some(hint);
        }
        Some(place)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        for place in 0..self.open.len() {
            self.break_off(place);
        }
        self.shared.ended.store(true, Ordering::Release);
        self.shared.call();
    }
}

/// What a source gives out besides its sound.
#[derive(Clone, Copy)]
pub struct Pour<'a> {
    /// The source.
    pub number: u32,
    /// Where it probably stands among the others.
    pub place: usize,
    /// Its channels.
    pub channels: usize,
    /// What the frames are.
    pub stretches: &'a [Stretch],
}

impl Frames {
    /// Hands the oldest block to `take`; `None` where there is none.
    pub fn next<R>(&mut self, take: impl FnOnce(&Block) -> R) -> Option<R> {
        let mut block = self.full.pop().ok()?;
        let taken = take(&block);
        block.samples.clear();
        // There is room for all.
        let _ = self.free.push(block);
        Some(taken)
    }

    /// Asks to be woken by the bell when there is something; whether there is already.
    pub fn arm(&self) -> bool {
        self.shared.waiting.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let awake = !self.full.is_empty() || self.has_ended();
        if awake {
            self.shared.waiting.store(false, Ordering::Relaxed);
        }
        awake
    }

    /// Whether nothing more will come, and all is taken.
    pub fn is_over(&self) -> bool {
        self.has_ended() && self.full.is_empty()
    }

    /// Whether the one source that is tapped is being played, or was when it was seen last.
    pub fn is_playing(&self) -> bool {
        self.shared.playing.load(Ordering::Relaxed)
    }

    /// Frames left out so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Blocks that wait.
    pub fn waiting(&self) -> usize {
        self.full.slots()
    }

    /// Wants no more.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.shared.ended.store(true, Ordering::Release);
        self.shared.call();
    }

    fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Wakes the reader, if it sleeps.
    fn call(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) && self.waiting.swap(false, Ordering::Relaxed) {
            (self.bell)();
        }
    }
}

impl Block {
    /// Its length.
    pub fn frames(&self) -> usize {
        self.samples.len() / self.channels.max(1)
    }

    fn begin(&mut self, source: u32, channels: usize, position: Position, at: Micros) {
        self.samples.clear();
        self.lost.clear();
        self.is_harmed = false;
        (self.source, self.channels, self.position, self.at, self.dropped) =
            (source, channels, position, at, 0);
    }
}

/// A source has one or two.
const MOST_CHANNELS: usize = 2;
/// The number of no source.
const NOBODY: u32 = u32::MAX;
