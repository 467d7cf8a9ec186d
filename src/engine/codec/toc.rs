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

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of 20 ms wideband SILK frames, or of 2.5 ms CELT.
    const SILK_20: u8 = 9 << 3;
    const CELT_2_5: u8 = 28 << 3;

    #[test]
    fn a_config_says_how_long_a_frame_is() {
        let told: Vec<u32> = (0..32).map(|config| Toc(config << 3).frame_frames() / 12).collect();
        let silk = [40, 80, 160, 240];
        let celt = [10, 20, 40, 80];
        let expected = [silk, silk, silk, [40, 80, 40, 80], celt, celt, celt, celt];
        assert_eq!(told, expected.concat());
    }

    #[test]
    fn one_or_two_frames_are_told_by_the_first_byte() {
        assert_eq!(frames(&[]), None);
        // DTX: no more than a first byte.
        assert_eq!(frames(&[SILK_20]), Some(960));
        assert_eq!(frames(&[SILK_20, 1, 2, 3]), Some(960));
        assert_eq!(frames(&[SILK_20 | 1, 1, 2]), Some(1_920));
        assert_eq!(frames(&[SILK_20 | 1, 1, 2, 3]), None, "R3: two equal frames");
        assert_eq!(frames(&[SILK_20 | 2, 1, 7, 7, 7]), Some(1_920));
        assert_eq!(frames(&[SILK_20 | 2]), None, "R4: a length");
        assert_eq!(frames(&[SILK_20 | 2, 252]), None, "R4: the second byte of a length");
        assert_eq!(frames(&[SILK_20 | 2, 2, 7]), None, "R4: as much as is told");
    }

    #[test]
    fn no_frame_is_longer_than_1275_bytes() {
        let packet = |first, bytes| [vec![first], vec![0; bytes]].concat();
        assert_eq!(frames(&packet(SILK_20, 1_275)), Some(960));
        assert_eq!(frames(&packet(SILK_20, 1_276)), None);
        assert_eq!(frames(&packet(SILK_20 | 1, 2_550)), Some(1_920));
        assert_eq!(frames(&packet(SILK_20 | 1, 2_552)), None);
        assert_eq!(frames(&packet(SILK_20 | 2, 1_276)), Some(1_920));
        assert_eq!(frames(&packet(SILK_20 | 2, 1_277)), None);
    }

    #[test]
    fn many_frames_are_120_ms_at_most() {
        assert_eq!(frames(&[SILK_20 | 3]), None, "R6: a second byte");
        assert_eq!(frames(&[SILK_20 | 3, 0]), None, "R5: one frame at least");
        assert_eq!(frames(&[SILK_20 | 3, 6]), Some(MAX_FRAMES));
        assert_eq!(frames(&[SILK_20 | 3, 7]), None, "R5: 140 ms");
        assert_eq!(frames(&[CELT_2_5 | 3, 48]), Some(MAX_FRAMES));
        assert_eq!(frames(&[CELT_2_5 | 3, 49]), None);
        assert_eq!(frames(&[SILK_20 | 3, 2, 1, 1]), Some(1_920));
        assert_eq!(frames(&[SILK_20 | 3, 2, 1, 1, 1]), None, "R6: equal frames");
    }

    #[test]
    fn lengths_and_padding_fit_into_the_packet() {
        let (vbr, padded) = (0x80, 0x40);
        assert_eq!(frames(&[SILK_20 | 3, vbr | 3, 1, 2, 9, 9, 9]), Some(2_880));
        assert_eq!(frames(&[SILK_20 | 3, vbr | 3, 1, 2, 9, 9]), None, "R7: as much as is told");
        assert_eq!(frames(&[SILK_20 | 3, vbr | 3, 1]), None, "R7: all the lengths");
        assert_eq!(frames(&[SILK_20 | 3, padded | 1, 2, 9, 0, 0]), Some(960));
        assert_eq!(frames(&[SILK_20 | 3, padded | 1, 2, 0]), None, "R6: all the padding");
        assert_eq!(frames(&[SILK_20 | 3, padded | 1, 255]), None, "R6: all of its length");
        let long = [vec![SILK_20 | 3, padded | 1, 255, 1], vec![0; 255]].concat();
        assert_eq!(frames(&long), Some(960));
        assert_eq!(frames(&long[..long.len() - 1]), None);
    }
}
