//! The time on the clock on the wall, to name and date recordings.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A local date and time, to the second, with its distance from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year of the Gregorian calendar.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Minutes east of UTC.
    pub utc_offset_minutes: i32,
}

impl LocalTime {
    /// The present time, in the machine's time zone.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the calendar clock")]
    pub fn now() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self::from_unix(seconds as i64)
    }

    /// `seconds` after 1970 began in UTC, in the machine's time zone.
    pub fn from_unix(seconds: i64) -> Self {
        let time: libc::time_t = seconds;
        #[allow(unsafe_code, reason = "the system alone knows the time zone")]
        // SAFETY: `tm` is plain numbers and a pointer, for which zeros are valid; both arguments are valid for the
        // call, and localtime_r keeps neither. Where it fails, `parts` stays zero.
        let parts = unsafe {
            let mut parts: libc::tm = std::mem::zeroed();
            libc::localtime_r(&raw const time, &raw mut parts);
            parts
        };
        Self {
            year: parts.tm_year + 1900,
            month: (parts.tm_mon + 1) as u8,
            day: parts.tm_mday.max(1) as u8,
            hour: parts.tm_hour as u8,
            minute: parts.tm_min as u8,
            second: parts.tm_sec as u8,
            utc_offset_minutes: (parts.tm_gmtoff / 60) as i32,
        }
    }

    /// `YYYYmmdd_HHMMSS`, as recordings are named.
    pub fn stamp(self) -> String {
        let Self { year, month, day, hour, minute, second, .. } = self;
        format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
    }
}

impl fmt::Display for LocalTime {
    /// ISO 8601, with the offset from UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, utc_offset_minutes } = self;
        let sign = if *utc_offset_minutes < 0 { '-' } else { '+' };
        let offset = utc_offset_minutes.unsigned_abs();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        write!(f, "{sign}{:02}:{:02}", offset / 60, offset % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_moment_reads_right_whatever_the_zone() {
        let t = LocalTime::from_unix(1_700_000_000);
        let days = i64::from(t.day) * 24 * 60;
        let minutes = days + i64::from(t.hour) * 60 + i64::from(t.minute) - i64::from(t.utc_offset_minutes);
        // 2023-11-14 22:13:20 UTC.
        assert_eq!((t.year, t.month, t.second), (2023, 11, 20));
        assert_eq!(minutes, 14 * 24 * 60 + 22 * 60 + 13);
    }

    #[test]
    fn it_is_written_as_names_and_as_iso_8601() {
        let mut t = LocalTime {
            year: 2024,
            month: 3,
            day: 7,
            hour: 9,
            minute: 5,
            second: 1,
            utc_offset_minutes: -210,
        };
        assert_eq!(t.stamp(), "20240307_090501");
        assert_eq!(t.to_string(), "2024-03-07T09:05:01-03:30");
        t.utc_offset_minutes = 60;
        assert_eq!(t.to_string(), "2024-03-07T09:05:01+01:00");
    }
}
