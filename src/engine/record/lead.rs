//! How far ahead of the clock a sound lately was, by its least delayed packet. Pure.

/// The greatest lead (frames of sound less frames of clock, at arrival) in the present bucket of time and the last that
/// had any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lead {
    bucket: Option<u64>,
    now: i64,
    before: i64,
}

impl Lead {
    /// One packet's lead, in a bucket of time whose numbers count up.
    pub fn note(&mut self, bucket: u64, lead: i64) {
        match self.bucket {
            Some(present) if bucket <= present => self.now = self.now.max(lead),
            present => {
                let follows = present.is_some_and(|p| p + 1 == bucket);
                self.before = if follows { self.now } else { lead };
                (self.bucket, self.now) = (Some(bucket), lead);
            }
        }
    }

    /// All leads are `frames` greater.
    pub fn shift(&mut self, frames: i64) {
        self.now += frames;
        self.before += frames;
    }

    /// The lead of lately.
    pub fn get(&self) -> Option<i64> {
        self.bucket.map(|_| self.now.max(self.before))
    }
}
