//! Extended reports (RFC 3611): receiver reference time, its echo, the metrics of voice, and what is measured (RFC 6776).

/// The blocks of an extended report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedBlocks<'a>(&'a [u8]);

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedBlock<'a> {
    /// When a receiver says this, NTP time (§4.4): senders send it back as [`Dlrr`].
    ReferenceTime(u64),
    /// The echoes (§4.5).
    Dlrr(DlrrBlocks<'a>),
    /// How a source is heard (§4.7).
    Voip(VoipMetrics),
    /// Since when, and of which packets, the reports tell (RFC 6776).
    Measurement(Measurement),
    /// A type that we do not know.
    Other(u8),
}

/// The echo of a receiver's reference time (§4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dlrr {
    /// The receiver.
    pub ssrc: u32,
    /// The middle 32 bits of its last reference time; 0 where none came.
    pub last_rr: u32,
    /// How long ago that came, in 1/65536 s.
    pub delay: u32,
}

/// The echoes in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DlrrBlocks<'a>(&'a [[u8; 12]]);

/// Since when, and of which packets, the reports tell (RFC 6776 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// The source.
    pub ssrc: u32,
    /// The sequence number that everything is counted from: the lowest that was received.
    pub first: u16,
    /// The extended sequence numbers of the packets since the last report.
    pub interval: (u32, u32),
    /// How long ago the last report was, in 1/65536 s.
    pub interval_time: u32,
    /// How long the source has been heard, in units of 2⁻³² s.
    pub time: u64,
}

/// What an extended report is to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// A reference time (§4.4), NTP.
    pub reference_time: Option<u64>,
    /// The echo of the other end's.
    pub echo: Option<Dlrr>,
    /// The metrics of voice.
    pub metrics: Option<VoipMetrics>,
    /// What is measured.
    pub measurement: Option<Measurement>,
}

/// How a source is heard (§4.7): shares in 1/256, times in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The source.
    pub ssrc: u32,
    /// Packets lost, since the beginning.
    pub loss_rate: u8,
    /// Packets that came too late, since the beginning.
    pub discard_rate: u8,
    /// Lost or too late, of the packets in bursts.
    pub burst_density: u8,
    /// Lost or too late, of the packets in gaps.
    pub gap_density: u8,
    /// The mean burst.
    pub burst_ms: u16,
    /// The mean gap.
    pub gap_ms: u16,
    /// The last round-trip time known; 0 where none is.
    pub round_trip_ms: u16,
    /// From the packet's arrival to its being heard, and what the other way adds.
    pub end_system_ms: u16,
    /// dBm0, as a signed byte; [`UNAVAILABLE`].
    pub signal_level: u8,
    /// dBm0, as a signed byte; [`UNAVAILABLE`].
    pub noise_level: u8,
    /// Residual echo return loss, dB; [`UNAVAILABLE`].
    pub echo_loss: u8,
    /// So many packets in a row must come well for a burst to be over.
    pub gmin: u8,
    /// 0 to 100; [`UNAVAILABLE`].
    pub r_factor: u8,
    /// Of another network; [`UNAVAILABLE`].
    pub external_r_factor: u8,
    /// Tenths, 10 to 50; [`UNAVAILABLE`].
    pub mos_listening: u8,
    /// Tenths, 10 to 50; [`UNAVAILABLE`].
    pub mos_conversation: u8,
    /// Concealment, and what kind of jitter buffer.
    pub receiver_config: u8,
    /// The jitter buffer's delay now.
    pub buffer_nominal_ms: u16,
    /// The most that it is lately.
    pub buffer_most_ms: u16,
    /// The most that it may become.
    pub buffer_limit_ms: u16,
}

impl<'a> ExtendedBlocks<'a> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = ExtendedBlock<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (block, after) = split(rest)?;
            rest = after;
            Some(block)
        })
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split(rest)?;
        }
        Some(Self(bytes))
    }
}

impl<'a> DlrrBlocks<'a> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Dlrr> + use<'a> {
        self.0.iter().map(|bytes| {
            let words = bytes.as_chunks::<4>().0;
            let word = |place: usize| u32::from_be_bytes(words[place]);
            Dlrr { ssrc: word(0), last_rr: word(1), delay: word(2) }
        })
    }
}

impl Dlrr {
    /// Appends the block with this one echo.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[DLRR, 0, 0, 3]);
        for word in [self.ssrc, self.last_rr, self.delay] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

impl Measurement {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[MEASUREMENT, 0, 0, 7]);
        for word in [self.ssrc, self.first.into(), self.interval.0, self.interval.1, self.interval_time] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.time.to_be_bytes());
    }

    fn parse(bytes: &[u8; 28]) -> Self {
        let words = bytes.as_chunks::<4>().0;
        let word = |place: usize| u32::from_be_bytes(words[place]);
        Self {
            ssrc: word(0),
            first: word(1) as u16,
            interval: (word(2), word(3)),
            interval_time: word(4),
            time: u64::from(word(5)) << 32 | u64::from(word(6)),
        }
    }
}

impl Extended {
    /// Appends the blocks.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(ntp) = self.reference_time {
            out.extend_from_slice(&[REFERENCE_TIME, 0, 0, 2]);
            out.extend_from_slice(&ntp.to_be_bytes());
        }
        if let Some(echo) = &self.echo {
            echo.write(out);
        }
        if let Some(metrics) = &self.metrics {
            metrics.write(out);
        }
        if let Some(measurement) = &self.measurement {
            measurement.write(out);
        }
    }
}

impl VoipMetrics {
    /// Appends the block.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[VOIP, 0, 0, 8]);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&[self.loss_rate, self.discard_rate, self.burst_density, self.gap_density]);
        for ms in [self.burst_ms, self.gap_ms, self.round_trip_ms, self.end_system_ms] {
            out.extend_from_slice(&ms.to_be_bytes());
        }
        out.extend_from_slice(&[self.signal_level, self.noise_level, self.echo_loss, self.gmin]);
        out.extend_from_slice(&[
            self.r_factor,
            self.external_r_factor,
            self.mos_listening,
            self.mos_conversation,
        ]);
        out.extend_from_slice(&[self.receiver_config, 0]);
        for ms in [self.buffer_nominal_ms, self.buffer_most_ms, self.buffer_limit_ms] {
            out.extend_from_slice(&ms.to_be_bytes());
        }
    }

    fn parse(bytes: &[u8; 32]) -> Self {
        let pair = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let [s0, s1, s2, s3, loss_rate, discard_rate, burst_density, gap_density, ..] = *bytes;
        Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            loss_rate,
            discard_rate,
            burst_density,
            gap_density,
            burst_ms: pair(8),
            gap_ms: pair(10),
            round_trip_ms: pair(12),
            end_system_ms: pair(14),
            signal_level: bytes[16],
            noise_level: bytes[17],
            echo_loss: bytes[18],
            gmin: bytes[19],
            r_factor: bytes[20],
            external_r_factor: bytes[21],
            mos_listening: bytes[22],
            mos_conversation: bytes[23],
            receiver_config: bytes[24],
            buffer_nominal_ms: pair(26),
            buffer_most_ms: pair(28),
            buffer_limit_ms: pair(30),
        }
    }
}

impl Default for VoipMetrics {
    /// Nothing known.
    fn default() -> Self {
        Self {
            signal_level: UNAVAILABLE,
            noise_level: UNAVAILABLE,
            echo_loss: UNAVAILABLE,
            r_factor: UNAVAILABLE,
            external_r_factor: UNAVAILABLE,
            mos_listening: UNAVAILABLE,
            mos_conversation: UNAVAILABLE,
            ..Self::parse(&[0; 32])
        }
    }
}

/// `None` where the block is not as long as its type says, or reaches past the end.
fn split(bytes: &[u8]) -> Option<(ExtendedBlock<'_>, &[u8])> {
    let (&[kind, _, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
    let (body, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
    let block = match kind {
        REFERENCE_TIME => ExtendedBlock::ReferenceTime(u64::from_be_bytes(body.try_into().ok()?)),
        DLRR => {
            let (blocks, []) = body.as_chunks() else { return None };
            ExtendedBlock::Dlrr(DlrrBlocks(blocks))
        }
        VOIP => ExtendedBlock::Voip(VoipMetrics::parse(body.try_into().ok()?)),
        MEASUREMENT => ExtendedBlock::Measurement(Measurement::parse(body.try_into().ok()?)),
        other => ExtendedBlock::Other(other),
    };
    Some((block, after))
}

const REFERENCE_TIME: u8 = 4;
const DLRR: u8 = 5;
const VOIP: u8 = 7;
/// RFC 6776 §4.
const MEASUREMENT: u8 = 14;

/// What a metric of [`VoipMetrics`] is where it is not known.
pub const UNAVAILABLE: u8 = 127;
