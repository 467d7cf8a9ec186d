//! How far ahead of the clock a sound lately was, by its least delayed packet. Pure.

/// The greatest lead (frames of sound less frames of clock, at arrival) in the present bucket of time and the last that
/// had any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lead {
    born: Option<u64>,
    bucket: u64,
    now: i64,
    before: i64,
}

impl Lead {
    /// One packet's lead, in a bucket of time whose numbers count up.
    pub fn note(&mut self, bucket: u64, lead: i64) {
        if self.born.is_none() {
            self.born = Some(bucket);
            (self.bucket, self.now, self.before) = (bucket, lead, lead);
        } else if bucket > self.bucket {
            self.before = if bucket == self.bucket + 1 { self.now } else { lead };
            (self.bucket, self.now) = (bucket, lead);
        } else {
            self.now = self.now.max(lead);
        }
    }

    /// The lead of lately.
    pub fn get(&self) -> Option<i64> {
        self.born.map(|_| self.now.max(self.before))
    }

    /// The same, once a whole bucket is behind it.
    pub fn settled(&self) -> Option<i64> {
        self.born.filter(|bucket| self.bucket > bucket + 1).and_then(|_| self.get())
    }
}
