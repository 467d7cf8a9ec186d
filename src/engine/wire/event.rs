//! Telephone events: the payload of RFC 4733 §2.3.

/// One event, or what is known of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0 to 15 are the keys of a telephone, 16 is the hook's flash.
    pub code: u8,
    /// It is over.
    pub end: bool,
    /// Ticks since its timestamp.
    pub duration: u16,
}

/// The events of a payload, in order: each begins where the one before it ends.
pub fn parse(payload: &[u8]) -> impl Iterator<Item = Event> + '_ {
    payload.chunks_exact(LEN).map(|block| Event {
        code: block[0],
        end: block[1] & END != 0,
        duration: u16::from_be_bytes([block[2], block[3]]),
    })
}

/// Whether a payload that nothing describes has the form of events: few, of a telephone's keys, the reserved bit not set.
pub fn looks_like(payload: &[u8]) -> bool {
    let whole = payload.len().is_multiple_of(LEN) && (1..=MOST).contains(&(payload.len() / LEN));
    whole && payload.chunks_exact(LEN).all(|block| block[0] <= FLASH && block[1] & RESERVED == 0)
}

/// The name of a key: `0` to `9`, `*`, `#`, `A` to `D`, `flash`; of other events `event N`.
pub fn name(code: u8) -> String {
    match code {
        0..=15 => char::from(b"0123456789*#ABCD"[usize::from(code)]).into(),
        FLASH => "flash".into(),
        _ => format!("event {code}"),
    }
}

/// Bytes of one event.
pub const LEN: usize = 4;
const END: u8 = 0x80;
const RESERVED: u8 = 0x40;
const FLASH: u8 = 16;
/// Events in one payload that is known by its form.
const MOST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_laid_out_as_rfc_4733_draws_them() {
        let events: Vec<Event> = parse(&[5, 0x0a, 0x03, 0x20, 11, 0x8a, 0, 80, 9]).collect();
        let five = Event { code: 5, end: false, duration: 800 };
        assert_eq!(events, [five, Event { code: 11, end: true, duration: 80 }]);
    }

    #[test]
    fn keys_have_their_names() {
        let names: Vec<String> = [0, 9, 10, 11, 12, 15, 16, 32].map(name).into();
        assert_eq!(names, ["0", "9", "*", "#", "A", "D", "flash", "event 32"]);
    }

    #[test]
    fn sound_rarely_looks_like_events() {
        assert!(looks_like(&[16, 0x8a, 0, 160]));
        for other in [&[][..], &[1, 2, 3], &[17, 0, 0, 0], &[1, 0x40, 0, 0], &[0; 24]] {
            assert!(!looks_like(other));
        }
    }
}
