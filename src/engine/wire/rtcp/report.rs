//! What senders and receivers report (RFC 3550 §6.4).

/// What a sender has sent (§6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// When it was said: NTP time, seconds since 1900 in units of 2⁻³² s.
    pub ntp: u64,
    /// The same moment in the stream's timestamps.
    pub timestamp: u32,
    /// Packets sent, modulo 2³².
    pub packets: u32,
    /// Their payload bytes, modulo 2³².
    pub octets: u32,
}

impl SenderInfo {
    pub(super) fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[n0, n1, n2, n3, n4, n5, n6, n7], rest) = bytes.split_first_chunk()?;
        let (&[t0, t1, t2, t3, p0, p1, p2, p3, o0, o1, o2, o3], rest) = rest.split_first_chunk()?;
        let info = Self {
            ntp: u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            packets: u32::from_be_bytes([p0, p1, p2, p3]),
            octets: u32::from_be_bytes([o0, o1, o2, o3]),
        };
        Some((info, rest))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ntp.to_be_bytes());
        for word in [self.timestamp, self.packets, self.octets] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// What was received of one source (§6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256 of what was expected.
    pub fraction_lost: u8,
    /// Lost in all: expected less received, copies counted as received; so it may be negative. 24 bits.
    pub lost: i32,
    /// The highest sequence number received, and in the upper half how often it has wrapped.
    pub highest: u32,
    /// Interarrival jitter, in frames.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time in the source's last sender report; 0 where none came.
    pub last_sr: u32,
    /// How long ago that report came, in 1/65536 s.
    pub delay: u32,
}

impl ReportBlock {
    /// Its length on the wire.
    pub const LEN: usize = 24;

    fn parse(bytes: &[u8; Self::LEN]) -> Self {
        let words = bytes.as_chunks::<4>().0;
        let word = |place: usize| u32::from_be_bytes(words[place]);
        Self {
            ssrc: word(0),
            fraction_lost: bytes[4],
            // Shifted down again, its sign comes along.
            lost: (word(1) << 8) as i32 >> 8,
            highest: word(2),
            jitter: word(3),
            last_sr: word(4),
            delay: word(5),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let lost = self.lost.clamp(-MOST_LOST - 1, MOST_LOST) as u32 & 0x00ff_ffff;
        let second = u32::from(self.fraction_lost) << 24 | lost;
        for word in [self.ssrc, second, self.highest, self.jitter, self.last_sr, self.delay] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// The report blocks of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlocks<'a>(&'a [[u8; ReportBlock::LEN]]);

impl<'a> ReportBlocks<'a> {
    /// One after the other, at most 31.
    pub fn iter(self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.0.iter().map(ReportBlock::parse)
    }

    pub(super) fn parse(count: u8, bytes: &'a [u8]) -> Option<Self> {
        let blocks = bytes.get(..usize::from(count) * ReportBlock::LEN)?;
        Some(Self(blocks.as_chunks().0))
    }
}

/// The most that 24 bits with a sign hold.
const MOST_LOST: i32 = 0x7f_ffff;
