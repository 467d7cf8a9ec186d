//! What an acknowledgement means: losses found, recovery begun and ended, and undone where it was for nothing.

use super::{Doubt, LEAST_TIMER, News, Sender, State, Timer};
use crate::engine::time::Micros;

impl Sender {
    /// What an acknowledgement means for the state.
    pub(super) fn judge(&mut self, now: Micros, news: &mut News) {
        let done = self.una >= self.recovery;
        match self.state {
            State::Recovery if done => {
                if !self.undo_if(now, self.is_spurious(news)) {
                    self.window.end_reduction(now);
                }
                self.leave_recovery();
            }
            State::Recovery if news.advanced && self.answers_original(news) => {
                // Reordering: what was taken for lost is arriving.
                if self.board.again() > 0 {
                    return;
                }
                self.undo_if(now, true);
                self.board.unmark_lost();
                self.rack.advanced = true;
                self.leave_recovery();
            }
            State::Loss => {
                self.judge_loss(now, news, done);
            }
            _ => {}
        }
        if self.state <= State::Recovery && news.duplicate && self.undo_if(now, self.all_needless()) {
            self.leave_recovery();
        }
        self.find_losses(now, news);
        match self.state {
            State::Loss if !news.lost_again => {}
            State::Recovery => {}
            _ if self.board.lost() > 0 => self.enter_recovery(),
            _ => self.settle(),
        }
    }

    /// In the state after a timeout (RFC 5682, 3.1).
    fn judge_loss(&mut self, now: Micros, news: &mut News, done: bool) {
        let spurious = (news.advanced && self.answers_original(news)) || (self.trying && news.original);
        if spurious && self.undo_if(now, true) {
            self.board.unmark_lost();
            self.rack.advanced = true;
            self.counts.spurious_timeouts += 1;
            self.leave_recovery();
            return;
        }
        if self.trying {
            if self.nxt > self.recovery {
                // New segments went, and something arrived beyond the hole: the loss was real.
                self.trying = news.sacked == 0 && news.advanced;
            } else if news.advanced && !done {
                self.recovery = self.nxt;
                self.trying = self.unsent() > 0;
                return;
            }
        }
        if done {
            self.undo_if(now, self.is_spurious(news));
            self.leave_recovery();
        }
    }

    fn find_losses(&mut self, now: Micros, news: &mut News) {
        if !std::mem::take(&mut self.rack.advanced) {
            return;
        }
        let found = self.rack.search(now, &mut self.board, &self.rtt, self.state >= State::Recovery);
        news.lost_again |= found.again;
        if let Some(wait) = found.wait {
            self.timer = Some((now + wait + LEAST_TIMER, Timer::Reorder));
            news.restart_timer = false;
        }
    }

    fn enter_recovery(&mut self) {
        self.counts.recoveries += 1;
        self.state = State::Recovery;
        self.recovery = self.nxt;
        self.doubt = Some(Doubt::default());
        self.trying = false;
        self.window.begin_reduction();
    }

    fn leave_recovery(&mut self) {
        self.state = State::Open;
        self.trying = false;
        self.rack.recovered();
        self.settle();
    }

    /// Open or in disorder.
    fn settle(&mut self) {
        let disorder = self.board.sacked() + self.board.lost() > 0 || self.board.again() > 0;
        self.state = if disorder { State::Disorder } else { State::Open };
    }

    /// Whether the first retransmission was sent after what this acknowledgement answers (RFC 3522).
    fn answers_original(&self, news: &News) -> bool {
        let stamp = self.doubt.and_then(|doubt| doubt.stamp);
        stamp.is_some_and(|stamp| (news.echo.wrapping_sub(stamp) as i32) < 0)
    }

    /// Whether every retransmission is known to have arrived twice.
    fn all_needless(&self) -> bool {
        self.doubt.is_some_and(|doubt| doubt.any && doubt.resent == 0)
    }

    fn is_spurious(&self, news: &News) -> bool {
        self.answers_original(news) || self.all_needless()
    }

    fn undo_if(&mut self, now: Micros, wrong: bool) -> bool {
        let wrong = wrong && self.doubt.is_some();
        if wrong {
            self.window.undo(now);
            self.doubt = None;
            self.counts.undone += 1;
        }
        wrong
    }

    /// The wait for what may only be late is over.
    pub(super) fn reorder_waited(&mut self, now: Micros) {
        let before = self.board.in_flight();
        let mut news = News::default();
        self.rack.advanced = true;
        self.find_losses(now, &mut news);
        if self.board.in_flight() != before {
            if self.state != State::Recovery {
                self.enter_recovery();
                self.window.reduce(self.board.in_flight(), 1, false);
            }
            self.retransmit_lost(now);
        }
        if self.timer.is_none() {
            self.restart_timeout(now);
        }
    }
}
