//! Queue that keeps the newest, bounded in number and in bytes: a few long lines are as much as many short ones.

use std::collections::VecDeque;

/// What it holds at most.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// In number.
    pub items: usize,
    /// In bytes.
    pub bytes: usize,
}

/// A queue that loses the oldest.
#[derive(Debug)]
pub struct Newest<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    most: Most,
}

impl<T> Newest<T> {
    /// An empty one.
    #[must_use]
    pub fn of(most: Most) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            most,
        }
    }

    /// Adds an item of this many bytes. Returns how many items were dropped for it. The newest is kept, however large it is.
    pub fn push(&mut self, item: T, bytes: usize) -> u64 {
        let mut count = 0;
        self.push_and(item, bytes, |_| count += 1);
        count
    }

    /// The same. Calls `dropped` with each dropped item, the oldest first.
    pub fn push_and(&mut self, item: T, bytes: usize, mut dropped: impl FnMut(T)) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        while self.items.len() > 1
            && (self.items.len() > self.most.items || self.bytes > self.most.bytes)
            && let Some(oldest) = self.pop()
        {
            dropped(oldest);
        }
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }

    /// The oldest, no more than that, and one at least where there is one.
    pub fn take(&mut self, most: Most) -> Vec<T> {
        let (mut taken, before) = (Vec::new(), self.bytes);
        while taken.len() < most.items
            && (taken.is_empty() || before - self.bytes < most.bytes)
            && let Some(item) = self.pop()
        {
            taken.push(item);
        }
        if self.items.is_empty() {
            // What a flood needed is given back.
            self.items = VecDeque::new();
        }
        taken
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.items.iter().map(|(item, _)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_lost() {
        let most = Most {
            items: 3,
            bytes: 10,
        };
        let mut newest = Newest::of(most);
        let held = |newest: &Newest<u32>| newest.iter().copied().collect::<Vec<_>>();
        let lost: u64 = (0..5).map(|item| newest.push(item, 1)).sum();
        assert_eq!((lost, held(&newest)), (2, vec![2, 3, 4]));
        assert_eq!((newest.push(5, 9), held(&newest)), (2, vec![4, 5]));
        assert_eq!((newest.push(6, 100), held(&newest)), (2, vec![6]));
        assert_eq!(newest.push(7, 10), 1);
        assert_eq!(newest.push(8, 0), 0);
        let one = Most { items: 1, ..most };
        assert_eq!(newest.take(one), [7]);
        assert_eq!(newest.push(9, 10), 0);
        assert_eq!(newest.push(10, 0), 0);
        assert_eq!(newest.take(most), [8, 9]);
        let small = Most { bytes: 0, ..most };
        assert_eq!(newest.take(small), [10]);
        assert!(newest.is_empty());
        assert_eq!(newest.push(8, 10), 0);
    }
}
