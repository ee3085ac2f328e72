//! Answers that are kept for repeating: octets one after the other in a few large pieces of memory, which go in the order
//! in which they were filled. A hundred thousand pieces of their own, each freed half a minute later, would cost more
//! than all the rest of a transaction.

use std::collections::VecDeque;

/// What a piece of memory holds, in octets; a longer answer gets one of its own.
const PIECE: usize = 64 << 10;

/// Answers that are kept for repeating.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pieces: VecDeque<Piece>,
    /// The number of the first piece.
    first: u64,
}

#[derive(Debug)]
struct Piece {
    octets: Vec<u8>,
    /// Of its answers, those that are still wanted.
    wanted: usize,
}

/// Where an answer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    piece: u64,
    start: usize,
    end: usize,
}

impl Span {
    /// The length of the answer.
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }
}

impl Replay {
    /// Keeps a copy of an answer, until [`Replay::release`].
    pub(super) fn keep(&mut self, answer: &[u8]) -> Span {
        if self.pieces.back().is_none_or(|last| last.octets.len() + answer.len() > PIECE) {
            if let Some(full) = self.pieces.back_mut() {
                full.octets.shrink_to_fit();
            }
            let octets = Vec::with_capacity(answer.len().max(PIECE));
            self.pieces.push_back(Piece { octets, wanted: 0 });
        }
        let piece = self.first + self.pieces.len() as u64 - 1;
        let Some(last) = self.pieces.back_mut() else { return Span { piece, start: 0, end: 0 } };
        let start = last.octets.len();
        last.octets.extend_from_slice(answer);
        last.wanted += 1;
        Span { piece, start, end: last.octets.len() }
    }

    /// An answer.
    pub(super) fn get(&self, span: Span) -> &[u8] {
        let piece = self.index(span).and_then(|index| self.pieces.get(index));
        piece.and_then(|piece| piece.octets.get(span.start..span.end)).unwrap_or_default()
    }

    /// Lets an answer go.
    pub(super) fn release(&mut self, span: Span) {
        if let Some(piece) = self.index(span).and_then(|index| self.pieces.get_mut(index)) {
            piece.wanted -= 1;
        }
        while self.pieces.pop_front_if(|piece| piece.wanted == 0).is_some() {
            self.first += 1;
        }
    }

    fn index(&self, span: Span) -> Option<usize> {
        usize::try_from(span.piece.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(replay: &Replay) -> usize {
        replay.pieces.iter().map(|piece| piece.octets.capacity()).sum()
    }

    #[test]
    fn an_answer_is_what_it_was_until_it_is_released() {
        let mut replay = Replay::default();
        let answer = |n: usize| vec![n.to_le_bytes()[0]; 1 + n * 7919 % 3000];
        let spans: Vec<_> = (0..500).map(|n| replay.keep(&answer(n))).collect();
        for (n, span) in spans.iter().enumerate() {
            assert_eq!(replay.get(*span), answer(n));
            assert_eq!(span.len(), answer(n).len());
        }
        for (n, span) in spans.iter().enumerate() {
            replay.release(*span);
            assert!(spans.get(n + 1).is_none_or(|next| replay.get(*next) == answer(n + 1)));
        }
        assert!(replay.pieces.is_empty());
        let again = replay.keep(b"200");
        assert_eq!(replay.get(again), b"200");
    }

    #[test]
    fn little_more_memory_is_held_than_answers() {
        let mut replay = Replay::default();
        let mut octets = 0;
        for n in 0..200 {
            let answer = vec![b'a'; if n % 2 == 0 { 10 } else { PIECE - 5 }];
            octets += answer.len();
            replay.keep(&answer);
        }
        assert!(held(&replay) <= octets + PIECE, "{} for {octets}", held(&replay));
    }
}
