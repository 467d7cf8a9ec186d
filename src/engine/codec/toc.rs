//! What an Opus packet says of itself before it is decoded (RFC 6716 §3): its length, and whether it is well-formed.

/// Most frames that a packet may hold: 120 ms at 48 kHz (RFC 6716 §3.2.5).
pub const MAX_FRAMES: u32 = 5_760;

/// Most bytes that one Opus frame may have (RFC 6716 §3.2.1).
pub const MAX_FRAME_BYTES: usize = 1_275;

/// A packet's first byte (RFC 6716 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toc(pub u8);

impl Toc {
    /// Frames of sound in each of the packet's Opus frames, at 48 kHz: 2.5 to 60 ms.
    pub const fn frame_frames(self) -> u32 {
        let config = self.0 >> 3;
        match config {
            0..12 => [480, 960, 1_920, 2_880][config as usize & 3],
            12..16 => [480, 960][config as usize & 1],
            _ => [120, 240, 480, 960][config as usize & 3],
        }
    }
}

/// Frames of sound in `packet` at 48 kHz; `None` where it breaks one of the rules R1 to R7 of RFC 6716 §3.4.
pub fn frames(packet: &[u8]) -> Option<u32> {
    let (&first, rest) = packet.split_first()?;
    let toc = Toc(first);
    let count = match first & 3 {
        0 => fits(rest.len()).then_some(1)?,
        1 => (rest.len() % 2 == 0 && fits(rest.len() / 2)).then_some(2)?,
        2 => {
            let (bytes, rest) = length(rest)?;
            fits(rest.len().checked_sub(bytes)?).then_some(2)?
        }
        _ => many(rest)?,
    };
    let frames = count * toc.frame_frames();
    (frames <= MAX_FRAMES).then_some(frames)
}

/// The count of Opus frames after a first byte of code 3 (RFC 6716 §3.2.5).
fn many(rest: &[u8]) -> Option<u32> {
    let (&second, mut rest) = rest.split_first()?;
    let count = usize::from(second & 0x3f);
    if second & 0x40 != 0 {
        let mut padding = 0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            // 255 stands for 254 bytes, and another byte that says of more.
            padding += usize::from(byte).min(254);
            if byte != 255 {
                break;
            }
        }
        rest = &rest[..rest.len().checked_sub(padding)?];
    }
    if count == 0 {
        return None;
    }
    if second & 0x80 == 0 {
        return (rest.len() % count == 0 && fits(rest.len() / count)).then_some(count as u32);
    }
    let mut told = 0;
    for _ in 1..count {
        let (bytes, after) = length(rest)?;
        told += bytes;
        rest = after;
    }
    fits(rest.len().checked_sub(told)?).then_some(count as u32)
}

/// A frame's length in one or two bytes (RFC 6716 §3.2.1), and what follows.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [first @ 0..252, ref rest @ ..] => Some((usize::from(first), rest)),
        [first, second, ref rest @ ..] => Some((usize::from(second) * 4 + usize::from(first), rest)),
        _ => None,
    }
}

const fn fits(frame_bytes: usize) -> bool {
    frame_bytes <= MAX_FRAME_BYTES
}
